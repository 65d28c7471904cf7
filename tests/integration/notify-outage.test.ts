/** A day of events while nobody can be reached, and an agent that is killed in between. The clock is simulated. */
import { afterEach, expect, test } from 'vitest';
import { DeliveryError } from '../../device/notify/delivery.ts';
import { seededRandom } from '../crash/seeded-random.ts';
import { event } from '../unit/library/rig.ts';
import { laneRig, type LaneRig } from '../unit/notify/rig.ts';

let rig: LaneRig;
afterEach(() => rig[Symbol.asyncDispose]());

const HOUR_MS = 3_600_000;
const over = (id: string, startUtcMs: number, cameraId: string) =>
  ({
    type: 'event',
    event: event(id, {
      cameraId,
      startUtcMs,
      lastSeenUtcMs: startUtcMs + 8000,
      endUtcMs: startUtcMs + 8000,
      endReason: 'gone',
    }),
  }) as const;

/** Ids of events and numbers in digests, as the messages say that the receiver has in the end. */
function toldOf({ receiver }: LaneRig) {
  const shown = receiver.taken.map(({ message: { notice } }) => [notice.noticeId, notice.content] as const);
  const contents = [...new Map(shown).values()];
  const incidents = contents.flatMap((content) => (content.kind === 'incident' ? content : []));
  const digests = contents.flatMap((content) => (content.kind === 'digest' ? content : []));
  const counted = digests.flatMap(({ events }) =>
    Object.values(events).flatMap((labels) => Object.values(labels)),
  );
  return {
    incidents,
    digests,
    events: incidents.flatMap(({ events }) => events.map(({ eventId }) => eventId)),
    counted: counted.reduce((sum, count) => sum + count, 0),
  };
}

test('a day without a network, with five kills: the newest first, the rest as one digest, nothing lost or twice', async () => {
  rig = await laneRig();
  const { clock, receiver } = rig;
  receiver.behave = async () => {
    throw new DeliveryError('NOTIFY_UNREACHABLE', 'EHOSTUNREACH');
  };
  const random = seededRandom(1);
  const startMs = clock.nowMs;
  const killAtMs = [3, 7.3, 11, 18.2, 23.9].map((hours) => startMs + hours * HOUR_MS);
  let events = 0;
  while (clock.nowMs < startMs + 24 * HOUR_MS) {
    await clock.advance(60_000 + random() * 900_000);
    if (killAtMs[0] !== undefined && clock.nowMs > killAtMs[0]) {
      killAtMs.shift();
      await rig.kill();
    }
    await rig.commit(over(`e${events++}`, clock.nowMs, random() < 0.5 ? 'porch' : 'yard'));
  }
  expect(killAtMs).toEqual([]);
  expect(receiver.sent).toEqual([]);

  const newest = clock.nowMs;
  receiver.behave = null;
  await clock.advance(HOUR_MS);
  await rig.kill();
  await clock.advance(24 * HOUR_MS);

  const { incidents, digests, events: told, counted } = toldOf(rig);
  expect(receiver.sent[0]?.message.notice.content).toMatchObject({ kind: 'incident' });
  expect(receiver.sent[0]!.message.notice.createdUtcMs).toBeGreaterThanOrEqual(newest - 60_000);
  expect(told).toContain(`e${events - 1}`);
  expect(digests).toHaveLength(1);
  expect(receiver.sent.at(-1)?.message.notice.content.kind).toBe('digest');
  expect(told.length + counted).toBe(events);
  expect(new Set(told).size).toBe(told.length);
  expect(incidents.length).toBeLessThan(3);
  expect(receiver.sent.every(({ message }) => !message.isRepeated)).toBe(true);
});

/** An agent of which nobody knows when it dies, and a network that may cut a request after it has arrived. */
test.each([2, 3, 4, 5])(
  'killed anywhere, on a network that cuts: what comes twice says so (seed %i)',
  async (seed) => {
    rig = await laneRig({ freshMs: 600_000 });
    const { clock, receiver } = rig;
    const random = seededRandom(seed);
    /** What arrived, also where the agent did not hear of it. */
    const arrived: { key: string; isRepeated: boolean }[] = [];
    let isUp = true;
    receiver.behave = async (action, { key, isRepeated, notice }) => {
      if (!isUp) throw new DeliveryError('NOTIFY_UNREACHABLE', 'ECONNREFUSED');
      if (action === 'send') arrived.push({ key, isRepeated });
      const luck = random();
      if (luck < 0.1) {
        throw new DeliveryError('NOTIFY_UNREACHABLE', 'ECONNRESET', { maybeDelivered: true });
      }
      // The agent dies before it hears the answer.
      if (luck < 0.2) await new Promise<never>(() => {});
      expect(notice.status === 'queued' || action === 'edit').toBe(true);
    };
    let events = 0;
    for (let i = 0; i < 60; i++) {
      await clock.advance(random() * 240_000);
      isUp = random() < 0.6;
      if (random() < 0.3) await rig.kill();
      await rig.commit(over(`e${events++}`, clock.nowMs, 'porch'));
    }
    isUp = true;
    receiver.behave = async (action, { key, isRepeated }) =>
      void (action === 'send' && arrived.push({ key, isRepeated }));
    await rig.kill();
    await clock.advance(2 * HOUR_MS);

    const { events: told, counted } = toldOf(rig);
    expect(told.length + counted).toBe(events);
    expect(new Set(told).size).toBe(told.length);
    // Each key arrived without the mark at most once.
    const unmarked = arrived.filter(({ isRepeated }) => !isRepeated).map(({ key }) => key);
    expect(new Set(unmarked).size).toBe(unmarked.length);
  },
);
