import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { deserialize } from 'node:v8';
import { runCapture } from '../../device/capture/index.ts';
import type { MediaPacket, StreamInfo } from '../../device/contract/media.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import type { Log } from '../../device/kernel/log.ts';
import { asCamera, type EncodedStream } from '../integration/record-encoded.ts';

/** Hands over packets as a camera sends them, in real time, until told to stop. */
export type Feed = (
  sink: { stream(info: StreamInfo): void; packet(packet: MediaPacket): void },
  signal: AbortSignal,
) => Promise<void>;

/** How often a stream is played: longer than any camera lives here. */
const ROUNDS = 30;

export const encodedStream =
  (file: string): Feed =>
  async (sink, signal) => {
    const stream = deserialize(readFileSync(file)) as EncodedStream;
    const { info, packets } = asCamera(stream, { startUtcMs: Date.now(), rounds: ROUNDS });
    const startMs = performance.now();
    const firstDts = packets[0]!.dts;
    sink.stream(info);
    for (const packet of packets) {
      const timescale = packet.track === 'video' ? info.video.timescale : info.audio!.timescale;
      const waitMs = startMs + ((packet.dts - firstDts) / timescale) * 1000 - performance.now();
      if (waitMs > 0) await delay(waitMs);
      if (signal.aborted) return;
      sink.packet(packet);
    }
  };

export const capturedPattern =
  ({ cameraId, log }: { cameraId: string; log: Log }): Feed =>
  async (sink, signal) =>
    await runCapture(
      {
        cameraId,
        source: { kind: 'pattern', width: 160, height: 120, fps: 25 },
        analysisFps: 0,
        privacyMasks: [],
        packets: true,
        sink: {
          stream: (info) => sink.stream(info),
          packet: (_role, packet) => sink.packet(packet),
          frame: (frame) => frame.release(),
          state: () => {},
        },
        meter: noMeter,
        clock: systemClock,
        log,
      },
      signal,
    );
