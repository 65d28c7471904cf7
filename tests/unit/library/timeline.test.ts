import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CodedError } from '../../../device/contract/errors.ts';
import type { Timeline } from '../../../device/contract/library.ts';
import { commitFacts, type IndexFact } from '../../../device/library/commit.ts';
import { getClip, getEvent, listClips, listEvents } from '../../../device/library/lists.ts';
import { clampRange, mergeRanges, subtractRanges, type Range } from '../../../device/library/ranges.ts';
import { timeline } from '../../../device/library/timeline.ts';
import { clip, event, libraryRig, NOON_MS, segment, type LibraryRig } from './rig.ts';

let rig: LibraryRig;
beforeEach(async () => {
  rig = await libraryRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const reason = new CodedError('CAMERA_UNREACHABLE', 'no route').report();
const commit = (...facts: IndexFact[]) => commitFacts(rig.context, facts);
const look = (startUtcMs: number, endUtcMs: number, cameraId = 'porch'): Timeline =>
  timeline(rig.context, { cameraId, startUtcMs, endUtcMs });
/** In minutes after noon, to be read. */
const minutes = (ranges: readonly { startUtcMs: number; endUtcMs: number }[]) =>
  ranges.map(({ startUtcMs, endUtcMs }) => [(startUtcMs - NOON_MS) / MINUTE, (endUtcMs - NOON_MS) / MINUTE]);
const segmentAt = (minute: number) => segment(`s${minute}`, { startUtcMs: NOON_MS + minute * MINUTE });

const range = fc.tuple(fc.nat(60), fc.nat(20)).map(([start, length]): Range => [start, start + length]);
const points = (ranges: readonly Range[]): Set<number> =>
  new Set(ranges.flatMap(([start, end]) => Array.from({ length: end - start }, (_, i) => start + i)));

test('ranges: merging, subtracting and clamping keep exactly the points they should', () => {
  fc.assert(
    fc.property(fc.array(range), range, (ranges, one) => {
      const merged = mergeRanges(ranges);
      expect(points(merged)).toEqual(points(ranges));
      expect(merged.every(([start, end], i) => start < end && (i === 0 || start > merged[i - 1]![1]))).toBe(
        true,
      );
      expect(points(subtractRanges(one, merged))).toEqual(points([one]).difference(points(ranges)));
      const clamped = clampRange(one, [10, 40]);
      expect(points(clamped ? [clamped] : [])).toEqual(points([one]).intersection(points([[10, 40]])));
    }),
  );
});

test('coverage is what files hold, joined, cut to what is asked for', () => {
  rig.clock.nowMs = NOON_MS + HOUR;
  const holed = segmentAt(5);
  commit(
    segmentAt(0),
    segmentAt(1),
    segmentAt(3),
    {
      ...holed,
      coverage: [
        { startUtcMs: NOON_MS + 5 * MINUTE, endUtcMs: NOON_MS + 5.25 * MINUTE },
        { startUtcMs: NOON_MS + 5.5 * MINUTE, endUtcMs: NOON_MS + 6 * MINUTE },
      ],
    },
    clip('c', [], { startUtcMs: NOON_MS + 3.5 * MINUTE, durationMs: MINUTE }),
    segment('of another', { cameraId: 'yard', startUtcMs: NOON_MS + 2 * MINUTE }),
  );
  expect(minutes(look(NOON_MS + MINUTE / 2, NOON_MS + 10 * MINUTE).coverage)).toEqual([
    [0.5, 2],
    [3, 4.5],
    [5, 5.25],
    [5.5, 6],
  ]);
  expect(look(NOON_MS, NOON_MS + HOUR, 'unheard of').coverage).toEqual([]);
});

test('a gap lasts as long as nothing was recorded, goes on until now, and says why', () => {
  commit(
    segmentAt(0),
    { type: 'outage', cameraId: 'porch', utcMs: NOON_MS + 0.5 * MINUTE, reason },
    {
      type: 'outage',
      cameraId: 'porch',
      utcMs: NOON_MS + 0.7 * MINUTE,
      reason: new CodedError('CAMERA_REFUSED').report(),
    },
    { type: 'outage', cameraId: 'porch', utcMs: NOON_MS + 4 * MINUTE, reason: null },
    segmentAt(4),
    { type: 'outage', cameraId: 'porch', utcMs: NOON_MS + 6 * MINUTE, reason },
  );
  rig.clock.nowMs = NOON_MS + 8 * MINUTE;
  const { gaps } = look(NOON_MS - HOUR, NOON_MS + HOUR);
  expect(minutes(gaps)).toEqual([
    [1, 4],
    [6, 8],
  ]);
  expect(gaps[0]?.reason).toEqual(reason);
  // Days later it still goes on.
  rig.clock.nowMs = NOON_MS + 100 * HOUR;
  expect(minutes(look(NOON_MS + 90 * HOUR, NOON_MS + 91 * HOUR).gaps)).toEqual([[90 * 60, 91 * 60]]);
  commit({ type: 'outage', cameraId: 'porch', utcMs: NOON_MS + 99 * HOUR, reason: null });
  expect(minutes(look(NOON_MS + 98 * HOUR, NOON_MS + 100 * HOUR).gaps)).toEqual([[98 * 60, 99 * 60]]);
});

test('while the agent was off is a gap of every camera that was there before', async () => {
  rig.clock.nowMs = NOON_MS + 2 * MINUTE;
  commit(segmentAt(0), { type: 'outage', cameraId: 'porch', utcMs: NOON_MS + MINUTE, reason });
  rig.clock.nowMs = NOON_MS + 10 * MINUTE;
  await rig.restart();
  commit(segment('late', { cameraId: 'yard', startUtcMs: NOON_MS + 10 * MINUTE }));
  rig.clock.nowMs = NOON_MS + HOUR;
  const { gaps } = look(NOON_MS, NOON_MS + HOUR);
  expect(minutes(gaps)).toEqual([
    [1, 2],
    [2, 10],
  ]);
  expect(gaps.map((gap) => gap.reason.code)).toEqual(['CAMERA_UNREACHABLE', 'AGENT_OFF']);
  expect(minutes(look(NOON_MS + 5 * MINUTE, NOON_MS + 6 * MINUTE).gaps)).toEqual([[5, 6]]);
  expect(look(NOON_MS, NOON_MS + HOUR, 'yard').gaps).toEqual([]);
});

test('footage on another disk is not there now, and the gap says so', () => {
  commit(segmentAt(0), segmentAt(1));
  rig.clock.nowMs = NOON_MS + 2 * MINUTE;
  rig.context.store.run(`INSERT INTO media (media_id, accepted_ms) VALUES ('another', 1)`);
  rig.context.store.run(`UPDATE file SET media = 2 WHERE file_id = 's1'`);
  const { coverage, gaps } = look(NOON_MS, NOON_MS + 2 * MINUTE);
  expect(minutes(coverage)).toEqual([[0, 1]]);
  expect(gaps).toMatchObject([{ startUtcMs: NOON_MS + MINUTE, reason: { code: 'MEDIA_MISSING' } }]);
});

test('events are those that reach into the time, however long they last', () => {
  const at = (id: string, startUtcMs: number, endUtcMs: number | null) =>
    ({ type: 'event', event: event(id, { startUtcMs, endUtcMs, enteredZones: ['path'] }) }) as const;
  commit(
    at('before', NOON_MS - MINUTE, NOON_MS),
    at('into', NOON_MS - MINUTE, NOON_MS + 1),
    at('within', NOON_MS, NOON_MS + 1),
    at('days', NOON_MS - 100 * HOUR, NOON_MS + 100 * HOUR),
    at('open', NOON_MS - 50 * HOUR, null),
    at('after', NOON_MS + HOUR, null),
    clip('c1', ['into', 'within']),
    clip('c2', ['within'], { startUtcMs: NOON_MS + 10_000 }),
    {
      type: 'still',
      cameraId: 'porch',
      eventId: 'within',
      path: 'media/stills/w.jpg',
      utcMs: NOON_MS,
      sizeBytes: 1,
    },
  );
  const { events } = look(NOON_MS, NOON_MS + HOUR);
  expect(events.map(({ eventId }) => eventId)).toEqual(['days', 'open', 'into', 'within']);
  expect(events.at(-1)).toEqual({
    eventId: 'within',
    cameraId: 'porch',
    label: 'person',
    score: 0.8,
    zones: ['path'],
    startUtcMs: NOON_MS,
    endUtcMs: NOON_MS + 1,
    stillPath: 'media/stills/w.jpg',
    clipId: 'c1',
    isProtected: false,
  });
  expect(getEvent(rig.context, { eventId: 'within' })?.state.box).toEqual(event('within').box);
  expect(getEvent(rig.context, { eventId: 'none' })).toBeNull();
  expect(getClip(rig.context, { clipId: 'c1' })).toMatchObject({
    eventIds: ['into', 'within'],
    path: 'media/clips/porch/2026-03-01/c1.mp4',
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
  });
  expect(getClip(rig.context, { clipId: 'none' })).toBeNull();
});

test('lists come newest first, page by page, each item once', () => {
  const label = (i: number): string => (i % 3 === 0 ? 'dog' : 'person');
  commit(
    ...Array.from({ length: 25 }, (_, i): IndexFact => ({
      type: 'event',
      // Several begin in the same moment.
      event: event(`e${String(i).padStart(2, '0')}`, {
        startUtcMs: NOON_MS + Math.floor(i / 4) * 1000,
        cameraId: i % 2 === 0 ? 'porch' : 'yard',
        label: label(i),
      }),
    })),
    ...Array.from({ length: 5 }, (_, i) => clip(`c${i}`, [`e0${i}`], { startUtcMs: NOON_MS + i * 1000 })),
  );
  const pages = (query: Parameters<typeof listEvents>[1]): string[][] => {
    const found: string[][] = [];
    for (let after = query.after; ;) {
      const page = listEvents(rig.context, { ...query, ...(after && { after }) });
      found.push(page.items.map(({ eventId }) => eventId));
      if (!page.next) return found;
      after = page.next;
    }
  };
  const all = Array.from({ length: 25 }, (_, i) => `e${String(i).padStart(2, '0')}`).toReversed();
  expect(pages({ limit: 10 })).toEqual([all.slice(0, 10), all.slice(10, 20), all.slice(20)]);
  expect(pages({ limit: 100, cameraId: 'yard', label: 'dog' })).toEqual([['e21', 'e15', 'e09', 'e03']]);
  expect(pages({ limit: 100, startUtcMs: NOON_MS + 1000, endUtcMs: NOON_MS + 2000 })).toEqual([
    ['e07', 'e06', 'e05', 'e04'],
  ]);
  expect(pages({ limit: 100, cameraId: 'none' })).toEqual([[]]);
  const { items, next } = listClips(rig.context, { limit: 2 });
  expect(items.map(({ clipId }) => clipId)).toEqual(['c4', 'c3']);
  expect(listClips(rig.context, { limit: 9, after: next! }).items.map(({ clipId }) => clipId)).toEqual([
    'c2',
    'c1',
    'c0',
  ]);
});
