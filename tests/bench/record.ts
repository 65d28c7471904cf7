/** What recording asks of the disk: bytes written per byte of video, and how often it must be durable. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { StreamInfo } from '../../device/contract/media.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { realDisk, type Disk } from '../../device/record/disk.ts';
import { createRecorder } from '../../device/record/index.ts';
import { table } from './facts.ts';

const FPS = 15;
const BITRATE = 2_000_000;
const TIMESCALE = 90_000;
const SECONDS = 20;

/** Baseline, level 3.1: enough of an avcC for a sample entry; nothing here is decoded. */
const CONFIG = Uint8Array.of(
  1,
  0x42,
  0xc0,
  0x1f,
  0xff,
  0xe1,
  0,
  4,
  0x67,
  0x42,
  0xc0,
  0x1f,
  1,
  0,
  4,
  0x68,
  0xce,
  0x3c,
  0x80,
);
const STREAM: StreamInfo = {
  role: 'main',
  generation: 1,
  video: {
    codec: 'h264',
    codecString: 'avc1.42c01f',
    config: CONFIG,
    width: 1280,
    height: 720,
    timescale: TIMESCALE,
  },
};

export async function benchRecord(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-bench-'));
  const totals = { writes: 0, bytes: 0, syncs: 0, syncMs: 0 };
  try {
    const recorder = createRecorder({
      cameraId: 'bench',
      dataDir,
      run: 'bench',
      settings: {
        enabled: true,
        preRollMs: 2_000,
        postRollMs: 2_000,
        maxClipMs: 600_000,
        bufferBytes: 32 * 2 ** 20,
      },
      meter: noMeter,
      log: createLog({ name: 'bench', level: 'warn' }),
      clock: systemClock,
      disk: counting(totals),
      emit: () => {},
    });
    const startUtcMs = systemClock.utcMs();
    const bytesPerPicture = BITRATE / 8 / FPS;
    recorder.stream(STREAM);
    recorder.openEvent('bench', startUtcMs);
    // At the pace of a camera: syncs happen by the clock.
    for (let i = 0; i < SECONDS * FPS; i++) {
      const pts = (i * TIMESCALE) / FPS;
      const data = new Uint8Array(bytesPerPicture).fill(i);
      recorder.packet({
        track: 'video',
        generation: 1,
        pts,
        dts: pts,
        duration: TIMESCALE / FPS,
        utcMs: startUtcMs + (i * 1000) / FPS,
        key: i % FPS === 0,
        data,
      });
      await delay(startUtcMs + ((i + 1) * 1000) / FPS - systemClock.utcMs());
    }
    await recorder.close();
  } finally {
    await rm(dataDir, { recursive: true });
  }
  return table([
    [
      `recording ${BITRATE / 1e6} Mbit/s for ${SECONDS} s`,
      'bytes per byte',
      'writes/s',
      'fdatasync/s',
      'ms each',
    ],
    [
      'one clip',
      (totals.bytes / ((BITRATE / 8) * SECONDS)).toFixed(4),
      (totals.writes / SECONDS).toFixed(2),
      (totals.syncs / SECONDS).toFixed(2),
      (totals.syncMs / totals.syncs).toFixed(1),
    ],
  ]);
}

function counting(totals: { writes: number; bytes: number; syncs: number; syncMs: number }): Disk {
  return {
    ...realDisk,
    async create(path) {
      const file = await realDisk.create(path);
      return {
        ...file,
        write(chunks, positionBytes) {
          totals.writes++;
          totals.bytes += chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
          return file.write(chunks, positionBytes);
        },
        async sync() {
          const startedAt = performance.now();
          await file.sync();
          totals.syncs++;
          totals.syncMs += performance.now() - startedAt;
        },
      };
    },
  };
}
