import { beforeEach, expect, test } from 'vitest';
import { cameraPayload, publishFact, publishFootage } from '../../../device/bus/index.ts';
import { CodedError } from '../../../device/contract/errors.ts';
import type {
  CameraFact,
  ClipReadyFact,
  EventState,
  SegmentReadyFact,
} from '../../../device/contract/facts.ts';
import { TOPICS, type TopicPattern } from '../../../device/contract/topics.ts';

const event: EventState = {
  eventId: 'porch-1',
  cameraId: 'porch',
  trackId: 1,
  label: 'person',
  score: 0.8,
  topScore: 0.9,
  box: [0.1, 0.2, 0.3, 0.4],
  zones: ['path'],
  enteredZones: ['path'],
  stationary: false,
  startUtcMs: 1000,
  lastSeenUtcMs: 2000,
  endUtcMs: null,
  endReason: null,
  best: { utcMs: 1500, mediaMs: 500, box: [0.1, 0.2, 0.3, 0.4], score: 0.9 },
  stillPath: null,
  startMediaMs: 0,
  lastSeenMediaMs: 1000,
};
const clip = {
  clipId: 'c',
  cameraId: 'porch',
  eventIds: ['porch-1'],
  path: 'media/clips/c.mp4',
  startUtcMs: 1000,
  durationMs: 5000,
  sizeBytes: 10,
};
const reason = new CodedError('CAMERA_STALLED').report();

const facts: readonly [TopicPattern, Parameters<typeof publishFact>[1]][] = [
  ['event.new', { type: 'event', phase: 'new', event, frameArrivedUtcMs: 1 }],
  ['event.update', { type: 'event', phase: 'update', event, frameArrivedUtcMs: 1 }],
  ['event.end', { type: 'event', phase: 'end', event, frameArrivedUtcMs: 1 }],
  ['motion.start', { type: 'motion', phase: 'start', cameraId: 'porch', utcMs: 1, mediaMs: 1, score: 0.3 }],
  ['motion.end', { type: 'motion', phase: 'end', cameraId: 'porch', utcMs: 1, mediaMs: 1, score: 0.3 }],
  ['clip.partial', { type: 'clip.partial', clip }],
  ['storage.gap', { type: 'gap', cameraId: 'porch', startUtcMs: 1, endUtcMs: 2, reason }],
];

const said: [string, unknown][] = [];
const bus = { publish: (topic: string, payload: unknown) => said.push([topic, payload]) };
beforeEach(() => {
  said.length = 0;
});

test.each(facts)('%s fits its topic, field for field', (pattern, fact) => {
  publishFact(bus, fact);
  expect(said).toEqual([[pattern, TOPICS[pattern].payload.parse(said[0]?.[1])]]);
});

const footage = {
  sha256: 'a'.repeat(64),
  coverage: [{ startUtcMs: 1000, endUtcMs: 6000 }],
  recovered: false,
};
const link = { position: 7, hash: 'b'.repeat(64) };
const ready: ClipReadyFact = { type: 'clip.ready', clip, ...footage };
const { clipId: segmentId, eventIds: _, ...rest } = clip;
const segment: SegmentReadyFact = {
  type: 'segment.ready',
  segment: { segmentId, ...rest },
  ...footage,
};

test.each([
  ['clip.ready', ready, link],
  ['clip.ready', { ...ready, clip: { ...clip, path: null, sizeBytes: 0 }, sha256: null }, null],
  ['segment.ready', segment, link],
] as const)('%s fits its topic, with its place in the chain', (pattern, fact, chain) => {
  publishFootage(bus, fact, chain);
  expect(said).toEqual([[pattern, TOPICS[pattern].payload.parse(said[0]?.[1])]]);
  expect(said[0]?.[1]).toMatchObject({ chain });
});

const stream = (role: 'main' | 'sub', phase: CameraFact['phase'], ailing = false): CameraFact => ({
  type: 'camera',
  cameraId: 'porch',
  phase,
  role,
  analysed: role === 'sub',
  generation: 2,
  sinceUtcMs: 5,
  reason: ailing ? reason : null,
  retryInMs: ailing ? 700 : null,
  stream: null,
});

test('a camera is as well as its recorded stream, and says what ails the other', () => {
  const payload = cameraPayload('porch', [stream('sub', 'down', true), stream('main', 'running')], null);
  expect(TOPICS['status.camera.*'].payload.parse(payload)).toMatchObject({
    state: 'running',
    reason: { code: 'CAMERA_STALLED' },
    retry_in_ms: 700,
    streams: [{ state: 'down' }, { state: 'running' }],
  });
});

test('what is known of the whole camera wins over its streams', () => {
  const overall = { phase: 'down', sinceUtcMs: 9, reason } as const;
  expect(cameraPayload('porch', [stream('main', 'running')], overall)).toMatchObject({
    state: 'down',
    since_ts: 9,
    reason,
  });
});
