import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DurableMap } from '../../../device/bus/durable-map.ts';
import type { StateChange, StateStore } from '../../../device/contract/state-store.ts';
import { systemClock } from '../../../device/kernel/clock.ts';
import { openStateStore } from '../../harness/state-store.ts';

const log = pino({ level: 'silent' });
/** Nothing is waited for: what changed is written at once. */
const clock = { ...systemClock, sleep: async () => {} };

let dir: string;
let store: StateStore & Disposable;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'durable-map-'));
  store = await openStateStore(dir);
});
afterEach(async () => {
  store[Symbol.dispose]();
  await rm(dir, { recursive: true });
});

const open = (name = 'a map', over: StateStore = store) =>
  DurableMap.open<unknown>({ name, store: over, gatherMs: 300, clock, log });
const content = async (name?: string): Promise<Record<string, unknown>> => {
  await using map = await open(name);
  return Object.fromEntries(map.entries());
};

/** Keeps what is written, and refuses while `isDown`. */
class Recorder implements StateStore {
  readonly changes: StateChange[] = [];
  isDown = false;
  async read(name: string) {
    if (this.isDown) throw new Error('down');
    return store.read(name);
  }
  async write(change: StateChange): Promise<void> {
    if (this.isDown) throw new Error('down');
    this.changes.push(change);
    await store.write(change);
  }
}

test('what was set and deleted is so after closing and opening', async () => {
  const step = fc.tuple(
    fc.constantFrom('a', 'b', 'q:1', 'ü'),
    fc.option(fc.string({ unit: 'grapheme' })),
    fc.boolean(),
  );
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 10 }), async (steps) => {
      const name = `run ${run++}`;
      const expected = new Map<string, string>();
      let map = await open(name);
      for (const [key, value, reopens] of steps) {
        if (value === null) map.delete(key);
        else map.set(key, value);
        if (value === null) expected.delete(key);
        else expected.set(key, value);
        if (!reopens) continue;
        await map[Symbol.asyncDispose]();
        map = await open(name);
      }
      await map[Symbol.asyncDispose]();
      expect(await content(name)).toEqual(Object.fromEntries(expected));
    }),
    { numRuns: 50 },
  );
});

test('maps of different names do not see each other', async () => {
  {
    await using a = await open('a');
    await using b = await open('b');
    a.set('key', 1);
    b.set('key', 2);
  }
  expect(await content('a')).toEqual({ key: 1 });
  expect(await content('b')).toEqual({ key: 2 });
});

test('what comes and goes at once is never written', async () => {
  const recorder = new Recorder();
  {
    await using map = await open('a map', recorder);
    map.set('a', 1);
    map.delete('a');
  }
  expect(recorder.changes).toEqual([]);
});

test('much is written in pieces, oldest first', async () => {
  const recorder = new Recorder();
  {
    await using map = await open('a map', recorder);
    for (let n = 0; n < 10; n++) map.set(`key${n}`, 'x'.repeat(100_000));
  }
  expect(recorder.changes.map(({ entries }) => entries.length)).toEqual([3, 3, 3, 1]);
  expect(Object.keys(await content())).toEqual(Array.from({ length: 10 }, (_, n) => `key${n}`));
});

test('while nothing can be written the map goes on, and everything is written later', async () => {
  const recorder = new Recorder();
  let pauses = 0;
  const map = await DurableMap.open<unknown>({
    ...{ name: 'a map', store: recorder, gatherMs: 300, log },
    clock: {
      ...systemClock,
      // The third pause is the one after the first attempt that failed.
      sleep: async () => {
        pauses += 1;
        if (pauses > 2) recorder.isDown = false;
      },
    },
  });
  recorder.isDown = true;
  map.set('a', 1);
  map.set('b', 2);
  map.delete('a');
  expect(map.get('b')).toBe(2);
  await expect.poll(() => recorder.changes.length).toBe(1);
  await map[Symbol.asyncDispose]();
  expect(await content()).toEqual({ b: 2 });
});

test('what could not be read does not come back', async () => {
  {
    await using map = await open();
    map.set('old', 1);
  }
  const recorder = new Recorder();
  recorder.isDown = true;
  {
    await using map = await open('a map', recorder);
    expect(map.get('old')).toBeUndefined();
    recorder.isDown = false;
    map.set('new', 2);
  }
  expect(await content()).toEqual({ new: 2 });
});
