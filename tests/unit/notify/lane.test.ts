import { afterEach, expect, test } from 'vitest';
import { CodedError } from '../../../device/contract/errors.ts';
import { DeliveryError } from '../../../device/notify/delivery.ts';
import { clip, event, NOON_MS } from '../library/rig.ts';
import { laneRig, type LaneRig } from './rig.ts';

let rig: LaneRig;
afterEach(() => rig[Symbol.asyncDispose]());

const seen = (id: string, startUtcMs: number, more: object = {}) =>
  ({ type: 'event', event: event(id, { startUtcMs, lastSeenUtcMs: startUtcMs, ...more }) }) as const;
const over = (id: string, startUtcMs: number, endUtcMs = startUtcMs + 5000) =>
  seen(id, startUtcMs, { endUtcMs, endReason: 'gone' });
const still = (eventId: string) =>
  ({
    type: 'still',
    cameraId: 'porch',
    eventId,
    path: `media/${eventId}.jpg`,
    utcMs: NOON_MS,
    sizeBytes: 5,
  }) as const;
const unreachable = async (): Promise<void> => {
  throw new DeliveryError('NOTIFY_UNREACHABLE', 'ECONNREFUSED');
};
const subjects = () => rig.receiver.sent.map(({ message }) => message.subject);

test('an incident is one message at once, edited as it grows, with the journal to tell', async () => {
  rig = await laneRig();
  const { clock, receiver } = rig;
  await rig.commit(seen('a', NOON_MS));
  expect(receiver.taken).toMatchObject([{ action: 'send', atMs: NOON_MS, ref: 'm1' }]);
  expect(receiver.taken[0]?.message).toMatchObject({
    subject: 'Person on porch, 12:00:00',
    isRepeated: false,
  });

  await clock.advance(1000);
  await rig.commit(still('a'));
  // Another camera sees something else meanwhile: still the same incident.
  await rig.commit(seen('b', NOON_MS + 1000, { cameraId: 'yard', label: 'dog' }));
  expect(receiver.taken).toHaveLength(1);
  await clock.advance(3000);
  expect(receiver.taken).toHaveLength(2);
  expect(receiver.taken[1]).toMatchObject({ action: 'edit', ref: 'm1' });
  expect(receiver.taken[1]?.message.subject).toBe('Person, dog on porch, yard, 12:00:00');
  expect(receiver.taken[1]?.message.stillPath).toMatch(/media\/a\.jpg$/);

  await rig.commit(over('a', NOON_MS), over('b', NOON_MS + 1000), clip('c', ['a']));
  await clock.advance(5000);
  expect(receiver.taken).toHaveLength(3);
  expect(receiver.taken[2]?.message.text).not.toContain('It goes on');
  expect(await receiver.taken[2]?.message.clip()).toMatch(/media\/c\.mp4$/);

  expect(rig.journal()).toEqual(['queued send', 'sent send', 'sent edit', 'sent edit']);
  expect(rig.published.map(({ outcome, payload }) => `${outcome} ${payload.action}`)).toEqual([
    'queued send',
    'sent send',
    'sent edit',
    'sent edit',
  ]);
});

test('what comes after a quiet time is another message', async () => {
  rig = await laneRig();
  await rig.commit(over('a', NOON_MS));
  await rig.clock.advance(120_000);
  await rig.commit(seen('b', NOON_MS + 120_000));
  expect(subjects()).toEqual(['Person on porch, 12:00:00', 'Person on porch, 12:02:00']);
});

test('after an outage the newest is told first, and all that is old as one digest', async () => {
  rig = await laneRig();
  const { clock, receiver } = rig;
  receiver.behave = unreachable;
  for (let i = 0; i < 6; i++) {
    await rig.commit(over(`e${i}`, clock.nowMs, clock.nowMs + 1000));
    await clock.advance(120_000);
  }
  await clock.advance(600_000);
  await rig.commit(seen('late', clock.nowMs, { label: 'cat' }));
  expect(rig.lane.failure?.code).toBe('NOTIFY_UNREACHABLE');
  receiver.behave = null;
  await clock.advance(60_000);
  expect(subjects()).toEqual(['Cat on porch, 12:22:00', '6 incidents while nobody could be told']);
  expect(receiver.sent[1]?.message.text).toContain('porch: 6 × person');
  expect(rig.lane.failure).toBeNull();
  await clock.advance(3_600_000);
  expect(receiver.sent).toHaveLength(2);
});

test('a kill in the middle of an outage loses nothing and repeats nothing', async () => {
  rig = await laneRig();
  const { clock, receiver } = rig;
  receiver.behave = unreachable;
  await rig.commit(over('a', NOON_MS));
  await rig.kill();
  await clock.advance(900_000);
  await rig.commit(over('b', clock.nowMs));
  await rig.kill();
  await clock.advance(900_000);
  await rig.commit(seen('c', clock.nowMs));
  await rig.kill();
  receiver.behave = null;
  await clock.advance(60_000);
  await rig.kill();
  await clock.advance(60_000);
  expect(subjects()).toEqual(['Person on porch, 12:30:00', '2 incidents while nobody could be told']);
  expect(receiver.sent.every(({ message }) => !message.isRepeated)).toBe(true);
});

test('a kill while a message is on its way: it is sent again by the same key, and says so', async () => {
  rig = await laneRig();
  const { clock, receiver } = rig;
  const keys: string[] = [];
  receiver.behave = (_action, { key }) => {
    keys.push(key);
    return new Promise<never>(() => {});
  };
  await rig.commit(over('a', NOON_MS));
  receiver.behave = async (_action, { key }) => void keys.push(key);
  await rig.kill();
  await clock.advance(1000);
  expect(keys).toEqual([keys[0], keys[0]]);
  expect(receiver.sent).toMatchObject([{ message: { isRepeated: true } }]);
  expect(rig.journal()).toEqual(['queued send', 'retried send', 'sent send']);
});

test('more than the rate limit waits, and raising it lets it go at once', async () => {
  const policy = { groupMs: 0, rateLimit: { maxEvents: 2, perMs: 600_000 } };
  rig = await laneRig(policy);
  const { clock, receiver } = rig;
  for (let i = 0; i < 4; i++) {
    await rig.commit(over(`e${i}`, clock.nowMs, clock.nowMs + 100));
    await clock.advance(1000);
  }
  // Another camera has a limit of its own.
  await rig.commit(seen('yard', clock.nowMs, { cameraId: 'yard' }));
  expect(receiver.sent).toHaveLength(3);
  rig.lane.configure({
    ...policy,
    freshMs: 300_000,
    maxWaiting: 500,
    wants: () => true,
    quiet: () => null,
    rateLimit: { maxEvents: 100, perMs: 600_000 },
  });
  await clock.advance(0);
  expect(receiver.sent).toHaveLength(5);
});

test('paused, all that waits and all that comes is shed; resumed, it goes on with what comes then', async () => {
  let quiet: CodedError | null = null;
  rig = await laneRig({ groupMs: 0, quiet: () => quiet?.report() ?? null });
  const { clock, receiver } = rig;
  receiver.behave = unreachable;
  await rig.commit(over('a', NOON_MS, NOON_MS + 100));
  quiet = new CodedError('NOTIFY_PAUSED');
  await clock.advance(60_000);
  receiver.behave = null;
  await rig.commit(over('b', clock.nowMs, clock.nowMs + 100));
  quiet = null;
  await clock.advance(60_000);
  await rig.commit(over('c', clock.nowMs, clock.nowMs + 100));
  expect(receiver.sent).toMatchObject([{ message: { notice: { noticeId: 'incident-c' } } }]);
  expect(rig.journal().filter((line) => line.startsWith('given_up'))).toEqual([
    'given_up send NOTIFY_PAUSED',
    'given_up send NOTIFY_PAUSED',
  ]);
});

test('what the receiver will never take is given up, and does not hold up the next', async () => {
  rig = await laneRig({ groupMs: 0 });
  const { clock, receiver } = rig;
  receiver.behave = async (_action, { notice }) => {
    if (notice.noticeId === 'incident-a') {
      throw new DeliveryError('NOTIFY_REFUSED', 'status 400', { isFinal: true });
    }
  };
  await rig.commit(over('a', NOON_MS, NOON_MS + 100));
  await clock.advance(1000);
  await rig.commit(over('b', clock.nowMs, clock.nowMs + 100));
  expect(receiver.sent).toMatchObject([{ message: { notice: { noticeId: 'incident-b' } } }]);
  expect(rig.journal()).toContain('given_up send NOTIFY_REFUSED');
});

test('a receiver that asks to wait is left alone for that long', async () => {
  rig = await laneRig();
  const { clock, receiver } = rig;
  const triedAtMs: number[] = [];
  receiver.behave = async () => {
    triedAtMs.push(clock.nowMs - NOON_MS);
    if (triedAtMs.length === 1) throw new DeliveryError('NOTIFY_THROTTLED', '429', { retryAfterMs: 90_000 });
  };
  await rig.commit(seen('a', NOON_MS));
  await clock.advance(89_000);
  await rig.commit(seen('b', clock.nowMs));
  expect(triedAtMs).toEqual([0]);
  await clock.advance(2000);
  expect(triedAtMs).toHaveLength(2);
  expect(receiver.sent).toHaveLength(1);
});

test('where messages cannot be edited, the first waits a little for its picture', async () => {
  rig = await laneRig({}, { edit: null, settleMs: 15_000 });
  const { clock, receiver } = rig;
  await rig.commit(seen('a', NOON_MS));
  await clock.advance(5000);
  expect(receiver.sent).toEqual([]);
  await rig.commit(still('a'));
  expect(receiver.sent).toHaveLength(1);
  await rig.commit(over('a', NOON_MS));
  await clock.advance(3_600_000);
  expect(receiver.taken).toHaveLength(1);
});

test('an animated picture is one more edit, unless the clip is there; who shows none is not told', async () => {
  rig = await laneRig({}, { showsPreviews: true });
  const { clock, receiver } = rig;
  await rig.commit(seen('a', NOON_MS));
  rig.lane.previewed('a', 'cache/a.gif');
  rig.lane.previewed('nobody', 'cache/nobody.gif');
  await clock.advance(3000);
  expect(receiver.taken.map(({ action }) => action)).toEqual(['send', 'edit']);
  expect(receiver.taken[1]?.message.previewPath).toMatch(/cache\/a\.gif$/);
  await rig.commit(over('a', NOON_MS), clip('c', ['a']));
  await clock.advance(3000);
  rig.lane.previewed('a', 'cache/late.gif');
  await clock.advance(10_000);
  expect(receiver.taken).toHaveLength(3);
});

test('a mail that shows animated pictures waits for one, but not for ever', async () => {
  rig = await laneRig({ groupMs: 0 }, { edit: null, settleMs: 15_000, showsPreviews: true });
  const { clock, receiver } = rig;
  await rig.commit(over('a', NOON_MS, NOON_MS + 100), still('a'));
  await clock.advance(1000);
  expect(receiver.sent).toEqual([]);
  rig.lane.previewed('a', 'cache/a.gif');
  await clock.advance(0);
  expect(receiver.sent).toHaveLength(1);
  await rig.commit(over('b', clock.nowMs, clock.nowMs + 100));
  await clock.advance(15_000);
  expect(receiver.sent).toHaveLength(2);
});

test('a long edit does not hold up the next alert', async () => {
  rig = await laneRig({ groupMs: 0 });
  const { clock, receiver } = rig;
  await rig.commit(over('a', NOON_MS, NOON_MS + 100));
  receiver.behave = (action) => (action === 'edit' ? new Promise<never>(() => {}) : Promise.resolve());
  await rig.commit(still('a'), clip('c', ['a']));
  await clock.advance(10_000);
  await rig.commit(seen('b', clock.nowMs));
  expect(receiver.sent).toHaveLength(2);
});

test('an event that enters the zone later is told from then on; one that is not wanted never', async () => {
  rig = await laneRig({ wants: ({ zones }) => zones.includes('door') });
  const { clock, receiver } = rig;
  await rig.commit(seen('a', NOON_MS), seen('far', NOON_MS));
  expect(receiver.sent).toEqual([]);
  await rig.commit(seen('a', NOON_MS, { enteredZones: ['door'] }), still('a'));
  expect(receiver.sent).toHaveLength(1);
  await rig.commit(over('far', NOON_MS));
  await clock.advance(60_000);
  expect(receiver.sent).toHaveLength(1);
});

test('the queue is bounded: beyond it the oldest become part of the digest, none is lost', async () => {
  rig = await laneRig({ groupMs: 0, freshMs: 86_400_000, maxWaiting: 10 });
  const { clock, receiver } = rig;
  receiver.behave = unreachable;
  for (let i = 0; i < 40; i++) {
    await rig.commit(over(`e${i}`, clock.nowMs, clock.nowMs + 100));
    await clock.advance(30_000);
  }
  receiver.behave = null;
  await clock.advance(120_000);
  const digests = receiver.sent.flatMap(({ message }) =>
    message.notice.content.kind === 'digest' ? message.notice.content.incidents : [],
  );
  const single = receiver.sent.length - digests.length;
  expect(digests).toHaveLength(1);
  expect(single + digests[0]!).toBe(40);
  expect(single).toBeLessThanOrEqual(11);
});
