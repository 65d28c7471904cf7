/** The index at the size of a busy box after six weeks, and the start beside 100,000 files. */
import { mkdir, mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SegmentReadyFact } from '../../device/contract/facts.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { commitFacts } from '../../device/library/commit.ts';
import type { LibraryContext } from '../../device/library/context.ts';
import { listEvents } from '../../device/library/lists.ts';
import { openAsOwner } from '../../device/library/opening.ts';
import { reconcile } from '../../device/library/reconcile.ts';
import { indexPath } from '../../device/library/store.ts';
import { timeline } from '../../device/library/timeline.ts';
import { table } from './facts.ts';

const CAMERAS = 16;
const SEGMENTS = 1_000_000;
const EVENTS = 200_000;
export const FILES = 100_000;
const SEGMENT_MS = 60_000;
const DAY_MS = 86_400_000;
const BEGIN_MS = Date.UTC(2026, 0, 1);

export async function benchLibrary(): Promise<string> {
  return `${await benchIndex()}\n\n${await benchReconcile()}`;
}

async function benchIndex(): Promise<string> {
  await using library = await openTemporary();
  const { context, dataDir } = library;
  fill(context, SEGMENTS, EVENTS);
  context.store.run('PRAGMA wal_checkpoint(TRUNCATE)');
  const { size } = await stat(indexPath(dataDir));
  const days = Math.floor((SEGMENTS / CAMERAS) * SEGMENT_MS) / DAY_MS;
  const someDay = (i: number) => {
    const startUtcMs = BEGIN_MS + ((i * 7) % Math.floor(days)) * DAY_MS;
    return { cameraId: `camera${(i * 5) % CAMERAS}`, startUtcMs, endUtcMs: startUtcMs + DAY_MS };
  };
  return table([
    [`${SEGMENTS} segments, ${EVENTS} events, ${CAMERAS} cameras`, 'p50, ms', 'p99, ms'],
    // An answer is cloned on its way out of the worker.
    ['timeline of a day of a camera', ...spread(1000, (i) => structuredClone(timeline(context, someDay(i))))],
    [
      'list of 50 events of a day',
      ...spread(1000, (i) => structuredClone(listEvents(context, { ...someDay(i), limit: 50 }))),
    ],
    [
      'list of 50 events with one label',
      ...spread(1000, (i) =>
        structuredClone(listEvents(context, { label: 'dog', endUtcMs: someDay(i).endUtcMs, limit: 50 })),
      ),
    ],
    ['commit of a segment, durable', ...spread(300, (i) => commitFacts(context, [nextSegment(i)]))],
    [
      'commit of 16 segments at once, durable',
      ...spread(100, (i) =>
        commitFacts(
          context,
          Array.from({ length: 16 }, (_, k) => nextSegment(1000 + i * 16 + k)),
        ),
      ),
    ],
    ['index, bytes per segment', (size / SEGMENTS).toFixed(0), ''],
  ]);
}

async function benchReconcile(): Promise<string> {
  await using library = await openTemporary();
  const { context, dataDir } = library;
  fill(context, FILES, 0);
  const paths = context.store.all<{ path: string }>('SELECT path FROM file').map(({ path }) => path);
  for (const folder of new Set(paths.map((path) => path.slice(0, path.lastIndexOf('/'))))) {
    await mkdir(join(dataDir, folder), { recursive: true });
  }
  for (const path of paths) await (await open(join(dataDir, path), 'w')).close();
  const agreeing = await timed(() => reconcile(context, {}));
  for (const path of paths.filter((_, i) => i % 100 === 0)) await rm(join(dataDir, path));
  const differing = await timed(() => reconcile(context, {}));
  return table([
    [`start beside ${FILES} files`, 's', 'longest pause of the index, ms'],
    ['index and disk agree', ...agreeing],
    ['one file in a hundred is gone', ...differing],
  ]);
}

interface Temporary extends AsyncDisposable {
  readonly context: LibraryContext;
  readonly dataDir: string;
}

export async function openTemporary(): Promise<Temporary> {
  const dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-bench-'));
  const { context } = await openAsOwner(
    { dataDir, wish: { pinnedId: null, newId: 'bench' }, check: false, run: null },
    {
      signal: new AbortController().signal,
      clock: systemClock,
      log: createLog({ name: 'bench', level: 'warn' }),
    },
  );
  return {
    context,
    dataDir,
    async [Symbol.asyncDispose]() {
      context.store[Symbol.dispose]();
      await rm(dataDir, { recursive: true });
    },
  };
}

/** Rows as commits make them: every camera has a segment a minute, and events with clips that range over them. */
export function fill({ store }: LibraryContext, segments: number, events: number): void {
  const state = JSON.stringify({ eventId: 'x', box: [0.1, 0.2, 0.3, 0.4], padding: 'x'.repeat(500) });
  const eventMs = ((segments / CAMERAS) * SEGMENT_MS) / Math.max(1, events / CAMERAS);
  store.transaction(() => {
    for (let i = 0; i < CAMERAS; i++) {
      store.run(
        'INSERT INTO camera (no, camera_id, since_ms) VALUES (?, ?, ?)',
        i + 1,
        `camera${i}`,
        BEGIN_MS,
      );
    }
    const numbers = 'WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)';
    const startOf = (everyMs: number): string =>
      `${BEGIN_MS} + CAST((i / ${CAMERAS}) * ${everyMs} AS INTEGER)`;
    const id = `strftime('%Y%m%dT%H%M%S.000Z', start_ms / 1000, 'unixepoch') || '-mfx3k2p1-' || i`;
    store.run(
      `${numbers}, f AS (SELECT i, i % ${CAMERAS} AS c, ${startOf(SEGMENT_MS)} AS start_ms FROM n)
       INSERT INTO file (file_id, kind, camera, media, path, start_ms, end_ms, size_bytes, class)
       SELECT ${id}, 'segment', c + 1, 1,
         'media/segments/camera' || c || '/' || date(start_ms / 1000, 'unixepoch') || '/' || ${id} || '.mp4',
         start_ms, start_ms + ${SEGMENT_MS}, 15000000, CASE WHEN i % 5 = 0 THEN 'event' ELSE 'continuous' END FROM f`,
      segments,
    );
    store.run(
      `INSERT INTO link SELECT camera, row_number() OVER (PARTITION BY camera ORDER BY no), kind, file_id, start_ms,
         end_ms, size_bytes, randomblob(32), randomblob(32), end_ms FROM file`,
    );
    if (events === 0) return;
    store.run(
      `${numbers}, e AS (SELECT i, i % ${CAMERAS} AS c, ${startOf(eventMs)} AS start_ms FROM n)
       INSERT INTO event (no, event_id, camera, label, score, start_ms, end_ms, zones, state)
       SELECT i + 1, ${id}, c + 1, CASE WHEN i % 7 = 0 THEN 'dog' ELSE 'person' END, 0.8, start_ms, start_ms + 20000, '["path"]', ?2 FROM e`,
      ...[events, state],
    );
    store.run(
      `INSERT INTO clip (no, clip_id, camera, start_ms, end_ms)
       SELECT no, event_id || '-c', camera, start_ms - 5000, end_ms + 10000 FROM event`,
    );
    store.run('INSERT INTO clip_event SELECT no, no FROM event');
    store.run(
      `INSERT INTO still SELECT no, 1, 'media/stills/' || event_id || '.jpg', start_ms, 40000 FROM event`,
    );
  });
}

/** Behind all that is there. */
function nextSegment(i: number): SegmentReadyFact {
  const startUtcMs = BEGIN_MS + Math.ceil(SEGMENTS / CAMERAS + i) * SEGMENT_MS;
  return {
    type: 'segment.ready',
    segment: {
      segmentId: `new-${i}`,
      cameraId: `camera${i % CAMERAS}`,
      path: `media/segments/camera${i % CAMERAS}/2026-03-01/new-${i}.mp4`,
      startUtcMs,
      durationMs: SEGMENT_MS,
      sizeBytes: 15_000_000,
    },
    sha256: 'ab'.repeat(32),
    coverage: [{ startUtcMs, endUtcMs: startUtcMs + SEGMENT_MS }],
    recovered: false,
  };
}

/** p50 and p99 of `rounds` calls. */
function spread(rounds: number, work: (i: number) => unknown): [string, string] {
  const tookMs = Array.from({ length: rounds }, (_, i) => {
    const startedMs = performance.now();
    work(i);
    return performance.now() - startedMs;
  }).toSorted((a, b) => a - b);
  const at = (fraction: number): string => tookMs[Math.floor(fraction * (rounds - 1))]!.toFixed(2);
  return [at(0.5), at(0.99)];
}

/** How long it took, and the longest time in which nothing else had a turn. */
async function timed(work: () => Promise<unknown>): Promise<[string, string]> {
  let longestMs = 0;
  let lastMs = performance.now();
  const startedMs = lastMs;
  const turns = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - lastMs);
    lastMs = performance.now();
  }, 1);
  await work();
  clearInterval(turns);
  return [((performance.now() - startedMs) / 1000).toFixed(2), longestMs.toFixed(0)];
}
