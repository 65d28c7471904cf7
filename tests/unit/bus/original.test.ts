import { beforeEach, expect, test } from 'vitest';
import type { EventFact } from '../../../device/contract/facts.ts';
import { noMeter } from '../../../device/contract/metrics.ts';
import { TOPICS, type TopicPattern } from '../../../device/contract/topics.ts';
import { OriginalTopics } from '../../../device/bus/original.ts';
import { ManualClock } from '../record/manual-clock.ts';

const UTC_MS = Date.UTC(2026, 10, 25);
let clock: ManualClock;
let said: { topic: string; payload: Record<string, unknown> }[];
let original: OriginalTopics;
const topics = () => said.map(({ topic }) => topic);

beforeEach(() => {
  clock = new ManualClock(UTC_MS);
  said = [];
  original = new OriginalTopics({
    bus: {
      publish: (topic, payload) => {
        TOPICS[topic as TopicPattern].payload.strict().parse(payload);
        said.push({ topic, payload });
      },
    },
    dataDir: '/data',
    rateLimit: { maxEvents: 2, perMs: 60_000 },
    meter: noMeter,
    clock,
  });
});

const event = (zones: string[]): EventFact => ({
  type: 'event',
  phase: 'new',
  frameArrivedUtcMs: UTC_MS,
  event: {
    eventId: 'e1',
    cameraId: 'porch',
    trackId: 1,
    label: 'person',
    score: 0.9,
    topScore: 0.95,
    box: [0.1, 0.2, 0.3, 0.4],
    zones,
    enteredZones: zones,
    stationary: false,
    startUtcMs: UTC_MS,
    lastSeenUtcMs: UTC_MS,
    endUtcMs: null,
    endReason: null,
    best: { utcMs: UTC_MS, mediaMs: 0, box: [0.1, 0.2, 0.3, 0.4], score: 0.95 },
    stillPath: null,
    startMediaMs: 0,
    lastSeenMediaMs: 0,
  },
});
const still = (cameraId: string) =>
  ({
    type: 'still',
    cameraId,
    eventId: 'e1',
    path: 'media/stills/a.jpg',
    utcMs: UTC_MS,
    sizeBytes: 1,
  }) as const;

test('an event is a detection and an alert; in a zone it is told as such; once', () => {
  original.take(event([]));
  expect(topics()).toEqual(['process.yolo.detected', 'process.alert.detected']);
  expect(said[1]?.payload).toMatchObject({
    camera_id: 'porch',
    detector_id: 'yolo-v8.alert-router',
    timestamp_utc: '2026-11-25T00:00:00.000Z',
    attributes: { label: 'person', bbox: [0.1, 0.2, 0.3, 0.4] },
  });
  said = [];
  original.take({ ...event(['path']), phase: 'update' });
  original.take({ ...event(['path']), phase: 'end' });
  expect(topics()).toEqual([]);
  original.take(event(['path']));
  expect(topics()).toContain('process.motion.zoned');
});

test('stills are allowed up to the limit of their camera; raising it counts at once', () => {
  for (let i = 0; i < 3; i++) original.take(still('porch'));
  original.take(still('yard'));
  const allowed = () => said.filter(({ topic }) => topic === 'event.snapshot.allowed').length;
  expect([topics().filter((topic) => topic === 'event.snapshot.ready').length, allowed()]).toEqual([4, 3]);
  original.setRateLimit({ maxEvents: 3, perMs: 60_000 });
  original.take(still('porch'));
  expect(allowed()).toBe(4);
  clock.advance(60_000);
  original.take(still('porch'));
  expect(allowed()).toBe(5);
});

test('a clip is told when it is a file', () => {
  const clip = { clipId: 'c', cameraId: 'porch', eventIds: ['e1'], startUtcMs: UTC_MS, durationMs: 5000 };
  const ready = { type: 'clip.ready', coverage: [], recovered: false } as const;
  original.take({ ...ready, clip: { ...clip, path: null, sizeBytes: 0 }, sha256: null });
  expect(said).toEqual([]);
  original.take({ ...ready, clip: { ...clip, path: 'media/clips/a.mp4', sizeBytes: 9 }, sha256: 'ab' });
  expect(said).toMatchObject([
    { topic: 'event.clip.ready', payload: { artifact_path: '/data/media/clips/a.mp4', media_kind: 'clip' } },
  ]);
});
