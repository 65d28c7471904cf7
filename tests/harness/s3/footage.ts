/** Footage of many events as the library keeps it, without cameras: files on disk, and their rows in the index. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { EventState } from '../../../device/contract/facts.ts';
import { systemClock } from '../../../device/kernel/clock.ts';
import { createLog } from '../../../device/kernel/log.ts';
import { commitFacts, type IndexFact } from '../../../device/library/commit.ts';
import type { LibraryContext } from '../../../device/library/context.ts';
import { openAsOwner } from '../../../device/library/opening.ts';
import { registerConsumers } from '../../../device/library/outbox.ts';

export interface PlantedObject {
  /** Below the prefix. */
  readonly key: string;
  /** Relative to the data directory. */
  readonly path: string;
  readonly kind: 'still' | 'clip' | 'segment';
  readonly ref: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

export interface Planting {
  readonly dataDir: string;
  readonly objects: number;
  /** Of the n-th object. */
  readonly sizeOf: (n: number) => number;
  readonly cameraId?: string;
  /** When the first begins; one a minute follows. */
  readonly fromUtcMs?: number;
}

const silent = createLog({ name: 'test', level: 'silent' });

/** Opens the index of a data directory without an agent; makes it when there is none. */
export async function openIndex(dataDir: string): Promise<LibraryContext & Disposable> {
  const { context } = await openAsOwner(
    { dataDir, wish: { pinnedId: null, newId: 'test-disk' }, check: false, run: null },
    { signal: new AbortController().signal, clock: systemClock, log: silent },
  );
  return { ...context, [Symbol.dispose]: () => context.store[Symbol.dispose]() };
}

/** Segments, clips and stills in turn, committed, and waiting in the outbox for the uploader. */
export async function plant(planting: Planting): Promise<readonly PlantedObject[]> {
  using index = await openIndex(planting.dataDir);
  registerConsumers(index, { s3: ['still', 'clip.ready', 'segment.ready'] });
  return await plantInto(index, planting);
}

export async function plantInto(
  index: LibraryContext,
  { dataDir, objects, sizeOf, cameraId = 'porch', fromUtcMs = Date.UTC(2026, 2, 1, 12) }: Planting,
): Promise<readonly PlantedObject[]> {
  const planted: PlantedObject[] = [];
  const facts: IndexFact[] = [];
  for (let n = 0; n < objects; n++) {
    const startUtcMs = fromUtcMs + n * 60_000;
    const bytes = randomBytes(sizeOf(n));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const kind = (['segment', 'clip', 'still'] as const)[n % 3]!;
    const ref = `${new Date(startUtcMs).toISOString().replaceAll(/[-:]/g, '')}-${n}`;
    const day = new Date(startUtcMs).toISOString().slice(0, 10);
    const key = `${kind}s/${cameraId}/${day}/${ref}.${kind === 'still' ? 'jpg' : 'mp4'}`;
    const path = `media/${key}`;
    const sizeBytes = bytes.byteLength;
    await mkdir(dirname(join(dataDir, path)), { recursive: true });
    await writeFile(join(dataDir, path), bytes);
    planted.push({ key, path, kind, ref, sizeBytes, sha256 });
    const footage = { cameraId, path, startUtcMs, durationMs: 50_000, sizeBytes };
    const seal = { sha256, coverage: [{ startUtcMs, endUtcMs: startUtcMs + 50_000 }], recovered: false };
    if (kind === 'segment') {
      facts.push({ type: 'segment.ready', segment: { segmentId: ref, ...footage }, ...seal });
    } else if (kind === 'clip') {
      facts.push({ type: 'clip.ready', clip: { clipId: ref, eventIds: [], ...footage }, ...seal });
    } else {
      facts.push({ type: 'event', event: eventOf(ref, cameraId, startUtcMs) });
      facts.push({ type: 'still', cameraId, eventId: ref, path, utcMs: startUtcMs, sizeBytes });
    }
  }
  for (const outcome of commitFacts(index, facts)) {
    if ('refused' in outcome) throw new Error(outcome.refused);
  }
  return planted;
}

const eventOf = (eventId: string, cameraId: string, startUtcMs: number): EventState => ({
  ...{ eventId, cameraId, trackId: 1, label: 'person', score: 0.9, topScore: 0.9, box: [0, 0, 1, 1] },
  ...{ zones: [], enteredZones: [], stationary: false, startUtcMs, lastSeenUtcMs: startUtcMs + 1000 },
  ...{
    endUtcMs: startUtcMs + 1000,
    endReason: 'gone',
    stillPath: null,
    startMediaMs: 0,
    lastSeenMediaMs: 1000,
  },
  best: { utcMs: startUtcMs, mediaMs: 0, box: [0, 0, 1, 1], score: 0.9 },
});
