/** Records the same stream many times at the pace of cameras, in continuous mode, and says what it asked of the disk. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { noMeter } from '../../device/contract/metrics.ts';
import type { MediaPacket, StreamInfo } from '../../device/contract/media.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { createRecorder, type Disk, type DiskFile } from '../../device/record/index.ts';
import { guardedDisk } from '../../device/record/media-guard.ts';
import { MEDIA_ID, RECORDING } from '../harness/media.ts';
import { readMp4 } from '../unit/record/mp4.ts';

export interface RecordingChildStart {
  readonly source: string;
  readonly dataDir: string;
  readonly streams: number;
  readonly seconds: number;
  readonly segmentMs: number;
}

export interface RecordingChildReport {
  readonly videoBytes: number;
  readonly writes: number;
  readonly bytes: number;
  readonly syncs: number;
  readonly syncMs: number;
  /** While recording, without start-up. */
  readonly cpuMs: number;
}

process.once('message', (start: RecordingChildStart) => void main(start));
// Also when the parent is gone.
process.once('disconnect', () => process.exit());

async function main({ source, dataDir, streams, seconds, segmentMs }: RecordingChildStart): Promise<void> {
  const totals = { writes: 0, bytes: 0, syncs: 0, syncMs: 0 };
  const disk = counting(guardedDisk({ dataDir, mediaId: MEDIA_ID }), totals);
  const cameras = Array.from({ length: streams }, (_, i) =>
    createRecorder({
      cameraId: `camera-${i + 1}`,
      dataDir,
      mediaId: MEDIA_ID,
      run: 'bench',
      settings: { ...RECORDING, mode: 'continuous', segmentMs },
      meter: noMeter,
      log: createLog({ name: 'bench', level: 'warn' }),
      clock: systemClock,
      disk,
      emit: (fact) => fact.type === 'gap' && process.stderr.write(`gap: ${fact.reason.code}\n`),
    }),
  );
  const [video] = readMp4(readFileSync(source)).tracks;
  if (!video) throw new Error(`${source} has no track`);
  const { samples, timescale } = video;
  const last = samples.at(-1)!;
  const loopTicks = last.dts + last.duration;
  const info: StreamInfo = {
    role: 'main',
    generation: 1,
    video: {
      codec: 'h264',
      codecString: 'avc1.42c01f',
      config: video.configs.get('avcC')!,
      width: video.width,
      height: video.height,
      timescale,
    },
  };
  for (const camera of cameras) camera.stream(info);
  const startUsage = process.cpuUsage();
  const startUtcMs = systemClock.utcMs();
  let videoBytes = 0;
  for (let i = 0; ; i++) {
    const { key, data, duration, ...sample } = samples[i % samples.length]!;
    const shift = Math.floor(i / samples.length) * loopTicks;
    const dts = sample.dts + shift;
    const dueMs = (dts / timescale) * 1000;
    if (dueMs >= seconds * 1000) break;
    await delay(Math.max(1, startUtcMs + dueMs - systemClock.utcMs()));
    const pts = sample.pts + shift;
    const utcMs = startUtcMs + (pts / timescale) * 1000;
    const packet: MediaPacket = { track: 'video', generation: 1, pts, dts, duration, utcMs, key, data };
    for (const camera of cameras) camera.packet(packet);
    videoBytes += data.byteLength * streams;
  }
  await Promise.all(cameras.map((camera) => camera.close()));
  const { user, system } = process.cpuUsage(startUsage);
  const report: RecordingChildReport = { ...totals, videoBytes, cpuMs: (user + system) / 1000 };
  process.send?.(report, () => process.disconnect());
}

function counting(
  disk: Disk,
  totals: { writes: number; bytes: number; syncs: number; syncMs: number },
): Disk {
  const counted = (file: DiskFile): DiskFile => ({
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
  });
  return { ...disk, create: async (path) => counted(await disk.create(path)) };
}
