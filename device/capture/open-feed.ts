import type { Meter } from '../contract/metrics.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Feed } from './feed.ts';
import { Input } from './input.ts';
import { RtspFeed } from './rtsp/rtsp-feed.ts';
import { SILENCE_MS, type Opening, type Source } from './sources.ts';

export interface OpenOptions {
  readonly source: Source;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

/** Our own reader where it can read the stream, else FFmpeg's. Rejects as they do. */
export async function openFeed(options: OpenOptions, opening: Opening, signal: AbortSignal): Promise<Feed> {
  const { clock, log, meter, source } = options;
  if (opening.rtsp) {
    const feed = await RtspFeed.open(
      {
        ...opening.rtsp,
        url: opening.url,
        answerMs: SILENCE_MS,
        clock,
        onLoss: (pictures) =>
          meter.count('spyoncino_drops_total', { stage: 'rtsp', reason: 'packet loss' }, pictures),
      },
      signal,
    );
    if (!('foreign' in feed)) return feed;
    log.info({ role: source.role, offer: feed.foreign }, 'FFmpeg reads this stream');
  }
  return await Input.open(source, opening, clock, signal);
}
