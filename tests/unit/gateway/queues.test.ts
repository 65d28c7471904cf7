import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReplayBuffer } from '../../../device/gateway/buffer.ts';
import { Outbox, type Wire } from '../../../device/gateway/outbox.ts';

/** Takes what it is sent, and lets go of it when it is told to. */
class SlowWire implements Wire {
  bufferedAmount = 0;
  readonly taken: string[] = [];
  #waiting: { readonly bytes: number; readonly done: () => void }[] = [];

  send(data: Buffer, _options: { binary: boolean }, done: () => void): void {
    this.bufferedAmount += data.length;
    this.taken.push(data.toString());
    this.#waiting.push({ bytes: data.length, done });
  }

  letGo(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { bytes, done } of waiting) {
      this.bufferedAmount -= bytes;
      done();
    }
  }
}

const outboxOf = (wire: Wire, maxBytes: number, nowMs = () => 0, onDrop = () => {}) =>
  new Outbox(wire, { maxBytes, nowMs, onDrop });

test('whatever comes and however slowly it is taken: order stays, answers stay, what is missing was told', () => {
  const step = fc.oneof(
    fc.record({ size: fc.integer({ min: 10, max: 50_000 }), isEvent: fc.boolean() }),
    fc.constant('let go' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const wire = new SlowWire();
      let counted = 0;
      const outbox = outboxOf(wire, 100_000, undefined, () => counted++);
      const added: number[] = [];
      const answers: number[] = [];
      for (const [no, what] of steps.entries()) {
        if (what === 'let go') {
          wire.letGo();
          continue;
        }
        const bytes = Buffer.from(JSON.stringify({ no, padding: 'x'.repeat(what.size) }));
        const isRoom = outbox.add(bytes, what.isEvent);
        if (!isRoom) return; // The link would end here.
        added.push(no);
        if (!what.isEvent) answers.push(no);
      }
      while (wire.bufferedAmount > 0) wire.letGo();
      const heard = wire.taken.map((text) => JSON.parse(text) as { no?: number; count?: number });
      const numbers = heard.flatMap(({ no }) => no ?? []);
      const told = heard.reduce((sum, { count = 0 }) => sum + count, 0);
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      expect(numbers).toEqual(expect.arrayContaining(answers));
      expect(numbers.length + counted).toBe(added.length);
      // What was dropped last is told with the next message that leaves.
      expect(told).toBeLessThanOrEqual(counted);
      if (numbers.at(-1) === added.at(-1)) expect(told).toBe(counted);
    }),
  );
});

test('stuck is who has something to take and does not, not who has nothing to take', () => {
  const wire = new SlowWire();
  let nowMs = 0;
  const outbox = outboxOf(wire, 1000, () => nowMs);
  nowMs = 50_000;
  expect(outbox.stuckMs).toBe(0);
  outbox.add(Buffer.from('a'), true);
  nowMs = 51_000;
  expect(outbox.stuckMs).toBe(1000);
  wire.letGo();
  expect(outbox.stuckMs).toBe(0);
});

test('answers that nobody takes do not pile up', () => {
  const outbox = outboxOf(new SlowWire(), 100_000);
  const adds = Array.from({ length: 10 }, () => outbox.add(Buffer.alloc(30_000), false));
  expect(adds).toContain(false);
});

test('the buffer keeps the newest, within its number and its bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 })), (sizes) => {
      const buffer = new ReplayBuffer(10, 1000);
      for (const size of sizes) buffer.add('a', Buffer.alloc(size));
      const kept = buffer.last(Infinity, () => true);
      expect(kept.length).toBeLessThanOrEqual(10);
      expect(kept.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThanOrEqual(1000);
      expect(kept.map(({ bytes }) => bytes.length)).toEqual(sizes.slice(sizes.length - kept.length));
      expect(kept.at(-1)?.no ?? 0).toBe(sizes.length);
    }),
  );
});

test('of the buffer: the last that fit, after a number', () => {
  const buffer = new ReplayBuffer(10, 1000);
  for (const topic of ['a', 'b', 'a', 'b']) buffer.add(topic, Buffer.alloc(1));
  const ofA = (topic: string) => topic === 'a';
  expect(buffer.last(5, ofA).map(({ no }) => no)).toEqual([1, 3]);
  expect(buffer.last(1, ofA).map(({ no }) => no)).toEqual([3]);
  expect(buffer.last(5, ofA, 1).map(({ no }) => no)).toEqual([3]);
  expect(buffer.last(0, ofA)).toEqual([]);
});
