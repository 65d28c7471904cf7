/** Footage as the recorder makes it, in an index as the agent keeps it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MediaPacket, StreamInfo } from '../../../device/contract/media.ts';
import type { RecordingSettings } from '../../../device/contract/settings.ts';
import { commitFacts, type IndexFact } from '../../../device/library/commit.ts';
import type { LibraryContext } from '../../../device/library/context.ts';
import { surveyAll } from '../../../device/library/export-cut.ts';
import { sourcesOf } from '../../../device/library/export.ts';
import { openAsOwner } from '../../../device/library/opening.ts';
import { MEDIA_ID } from '../../harness/media.ts';
import { readMp4 } from '../record/mp4.ts';
import { startRig, turns, type Rig } from '../record/rig.ts';
import { START_UTC_MS } from '../record/synthetic.ts';
import { silent } from './rig.ts';

export interface RecordedStream {
  readonly info: StreamInfo;
  readonly packets: readonly MediaPacket[];
}

export interface Recorded extends AsyncDisposable {
  readonly rig: Rig;
  readonly dataDir: string;
  readonly context: LibraryContext;
  /** Commits what was told since the last time. */
  commit(more?: readonly IndexFact[]): void;
  /** The recorder closes what is open, and what it tells is committed. */
  close(): Promise<void>;
  /** Paths of the closed files, oldest first. */
  files(): readonly string[];
}

/**
 * Plays `streams`; segments of four seconds unless told otherwise. With `segments`, it waits until so many are
 * closed, and until what was given two seconds before the end is durable; what is open stays open.
 */
export async function recorded(
  streams: readonly RecordedStream[],
  { segments = 0, ...settings }: Partial<RecordingSettings> & { readonly segments?: number } = {},
): Promise<Recorded> {
  const rig = await startRig({ mode: 'continuous', segmentMs: 4000, ...settings });
  const { context } = await openAsOwner(
    { dataDir: rig.dataDir, wish: { pinnedId: null, newId: MEDIA_ID }, check: false, run: null },
    { clock: rig.clock, log: silent, signal: new AbortController().signal },
  );
  const { store } = context;
  let committed = 0;
  const commit = (more: readonly IndexFact[] = []): void => {
    const facts = rig.facts.slice(committed).filter(({ type }) => type !== 'clip.partial');
    committed = rig.facts.length;
    commitFacts(context, [...(facts as IndexFact[]), ...more]);
  };
  for (const stream of streams) await rig.play(stream);
  for (let closed = 0; closed < segments; closed++) await rig.until('segment.ready');
  commit();
  const durableUtcMs = streams.at(-1)!.packets.at(-1)!.utcMs - 2000;
  const isDurable = async (): Promise<boolean> => {
    const files = await surveyAll(await sourcesOf(context, 'porch', durableUtcMs - 1, durableUtcMs));
    return files.some(({ endUtcMs }) => endUtcMs > durableUtcMs);
  };
  if (segments > 0) while (!(await isDurable())) await turns();
  return {
    ...{ rig, dataDir: rig.dataDir, context, commit },
    async close() {
      await rig.recorder.close();
      commit();
    },
    files: () =>
      store
        .all<{ path: string }>('SELECT path FROM file ORDER BY start_ms, file_id')
        .map(({ path }) => join(rig.dataDir, path)),
    async [Symbol.asyncDispose]() {
      store[Symbol.dispose]();
      await rig[Symbol.asyncDispose]();
    },
  };
}

/** A moment of the footage. */
export const at = (seconds: number): number => START_UTC_MS + Math.round(seconds * 1000);

export interface FragmentPlace {
  readonly moofBytes: number;
  /** In the data of a picture. */
  readonly dataBytes: number;
  readonly startUtcMs: number;
  readonly endUtcMs: number;
}

/** Where the recorder cut depends on when the disk was ready; here is where. */
export async function fragmentsOf(path: string): Promise<readonly FragmentPlace[]> {
  const bytes = await readFile(path);
  const { boxes, notes, tracks } = readMp4(bytes);
  const { samples, timescale, mediaTime } = tracks[0]!;
  const { start_ts } = notes.at(-1) as { start_ts: number };
  return boxes
    .filter(({ type }) => type === 'moof')
    .map(({ start }, no) => {
      const own = samples.filter(({ fragment }) => fragment === no);
      const utcMs = (ticks: number): number =>
        Math.round(start_ts + ((ticks - mediaTime) / timescale) * 1000);
      const [first, last] = [own[0]!, own.at(-1)!];
      return {
        moofBytes: start,
        dataBytes: first.data.byteOffset - bytes.byteOffset,
        startUtcMs: utcMs(first.pts),
        endUtcMs: utcMs(last.pts + last.duration),
      };
    });
}
