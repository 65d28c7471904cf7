/** A recorder on a real folder, with a clock that the packets drive and a disk that can misbehave. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type {
  ClipPartialFact,
  ClipReadyFact,
  GapFact,
  SegmentReadyFact,
} from '../../../device/contract/facts.ts';
import type { MediaPacket, StreamInfo } from '../../../device/contract/media.ts';
import type { CounterName, HistogramName, Meter } from '../../../device/contract/metrics.ts';
import type { RecordingSettings } from '../../../device/contract/settings.ts';
import { createRecorder, type Disk, type Recorder } from '../../../device/record/index.ts';
import { MEDIA_ID, mountMedia, RECORDING } from '../../harness/media.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryDisk } from './memory-disk.ts';
import { readMp4, type Mp4File } from './mp4.ts';
import { START_UTC_MS } from './synthetic.ts';

export type RecordFact = ClipPartialFact | ClipReadyFact | SegmentReadyFact | GapFact;

export const quiet = pino({ level: 'silent' });

export class CountingMeter implements Meter {
  readonly counts = new Map<string, number>();
  readonly observations = new Map<HistogramName, number>();
  observe(name: HistogramName): void {
    this.observations.set(name, (this.observations.get(name) ?? 0) + 1);
  }
  count(name: CounterName, labels: Readonly<Record<string, string>> = {}, by = 1): void {
    const key = [name, ...Object.values(labels)].join(' ');
    this.counts.set(key, (this.counts.get(key) ?? 0) + by);
  }
  set(): void {}
}

export interface Rig extends AsyncDisposable {
  readonly dataDir: string;
  readonly clock: ManualClock;
  readonly meter: CountingMeter;
  readonly facts: RecordFact[];
  readonly recorder: Recorder;
  ready(): readonly ClipReadyFact[];
  segments(): readonly SegmentReadyFact[];
  gaps(): readonly GapFact[];
  /** Feeds packets at their own times: the clock goes along, and the recorder gets its turns in between. */
  play(stream: { info: StreamInfo; packets: readonly MediaPacket[] }): Promise<void>;
  /** Resolves once a fact of this kind is told that was not waited for before. */
  until<T extends RecordFact['type']>(type: T): Promise<Extract<RecordFact, { type: T }>>;
  read(fact: ClipReadyFact | ClipPartialFact | SegmentReadyFact): Promise<{ bytes: Buffer; mp4: Mp4File }>;
}

export async function startRig(
  settings: Partial<RecordingSettings> = {},
  disk?: Disk,
  startUtcMs = START_UTC_MS,
): Promise<Rig> {
  const dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-record-'));
  if (!disk) await mountMedia(dataDir);
  const clock = new ManualClock(startUtcMs);
  const meter = new CountingMeter();
  const facts: RecordFact[] = [];
  const awaited = new Set<RecordFact>();
  let told = Promise.withResolvers<void>();
  let playing: StreamInfo | null = null;
  const recorder = createRecorder({
    cameraId: 'porch',
    dataDir,
    mediaId: MEDIA_ID,
    run: '7',
    settings: { ...RECORDING, ...settings },
    emit: (fact) => {
      facts.push(fact);
      told.resolve();
      told = Promise.withResolvers();
    },
    meter,
    log: quiet,
    clock,
    ...(disk && { disk }),
  });
  return {
    dataDir,
    clock,
    meter,
    facts,
    recorder,
    ready: () => facts.filter((fact) => fact.type === 'clip.ready'),
    segments: () => facts.filter((fact) => fact.type === 'segment.ready'),
    gaps: () => facts.filter((fact) => fact.type === 'gap'),
    async play({ info, packets }) {
      if (info !== playing) recorder.stream(info);
      playing = info;
      for (const packet of packets) {
        clock.advanceTo(packet.utcMs);
        recorder.packet(packet);
        await turns();
      }
    },
    async until<T extends RecordFact['type']>(type: T) {
      for (;;) {
        const fact = facts.find((fact) => fact.type === type && !awaited.has(fact));
        if (fact) {
          awaited.add(fact);
          return fact as Extract<RecordFact, { type: T }>;
        }
        await told.promise;
      }
    },
    async read(fact) {
      const path = pathOf(dataDir, fact);
      const bytes = disk instanceof MemoryDisk ? disk.read(path) : await readFile(path);
      return { bytes, mp4: readMp4(bytes) };
    },
    async [Symbol.asyncDispose]() {
      await recorder.close();
      await rm(dataDir, { recursive: true });
    },
  };
}

/** Of the file. */
export function pathOf(dataDir: string, fact: ClipReadyFact | ClipPartialFact | SegmentReadyFact): string {
  const path = fact.type === 'segment.ready' ? fact.segment.path : fact.clip.path;
  if (path === null) throw new Error('the clip has no file');
  return join(dataDir, path);
}

/** Lets what is ready to run, run: system calls of others take their own time. */
export const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
