import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DurableMap } from '../../../device/bus/durable-map.ts';
import { systemClock } from '../../../device/kernel/clock.ts';

const log = pino({ level: 'silent' });
let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'durable-map-'));
  path = join(dir, 'map.jsonl');
});
afterEach(() => rm(dir, { recursive: true }));

/** Nothing is waited for: what changed is written at once. */
const clock = { ...systemClock, sleep: async () => {} };
const open = () => DurableMap.open<unknown>({ path, clock, log });
const content = async (): Promise<Record<string, unknown>> => {
  await using map = await open();
  return Object.fromEntries(map.entries());
};

test('what was set and deleted is so after closing and opening, in the order it was set', async () => {
  const step = fc.tuple(
    fc.constantFrom('a', 'b', 'q:1', 'ü'),
    fc.option(fc.string({ unit: 'grapheme' })),
    fc.boolean(),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 10 }), async (steps) => {
      await rm(path, { force: true });
      const expected = new Map<string, string>();
      let map = await open();
      for (const [key, value, reopens] of steps) {
        if (value === null) map.delete(key);
        else map.set(key, value);
        if (value === null) expected.delete(key);
        else expected.set(key, value);
        if (!reopens) continue;
        await map[Symbol.asyncDispose]();
        map = await open();
      }
      await map[Symbol.asyncDispose]();
      expect(await content()).toEqual(Object.fromEntries(expected));
    }),
    { numRuns: 15 },
  );
});

test('wherever a power cut tears the file, what is left is what was so at some moment', async () => {
  {
    await using map = await open();
    map.set('a', 1);
  }
  {
    await using map = await open();
    map.set('b', 'ü');
    map.delete('a');
  }
  const whole = await readFile(path);
  const moments = [{}, { a: 1 }, { a: 1, b: 'ü' }, { b: 'ü' }];
  for (let length = whole.length; length >= 0; length--) {
    await writeFile(path, whole);
    await truncate(path, length);
    expect(moments).toContainEqual(await content());
  }
});

test('a torn end is cut off, and what comes later is whole', async () => {
  {
    await using map = await open();
    map.set('a', 1);
  }
  await appendFile(path, '12345678 ["b",2]\n\0\0\0');
  {
    await using map = await open();
    expect(Object.fromEntries(map.entries())).toEqual({ a: 1 });
    map.set('c', 3);
  }
  expect(await content()).toEqual({ a: 1, c: 3 });
});

test('the file does not grow without end, and nothing that goes while it is rewritten comes back', async () => {
  const bulk = 'x'.repeat(60_000);
  {
    await using map = await open();
    map.set('stays', 1);
    for (let n = 0; n < 40; n++) {
      const before = await sizeOfFile();
      map.set('changes', `${n}${bulk}`);
      map.set('goes', n);
      await expect.poll(sizeOfFile, { interval: 10, timeout: 5000 }).not.toBe(before);
      map.delete('goes');
    }
  }
  expect(await sizeOfFile()).toBeLessThan(2_000_000);
  expect(await content()).toEqual({ stays: 1, changes: `39${bulk}` });
});

const sizeOfFile = async (): Promise<number> => (await stat(path).catch(() => null))?.size ?? 0;

test('what comes and goes at once never touches the disk', async () => {
  await using map = await open();
  map.set('a', 1);
  map.delete('a');
  await map[Symbol.asyncDispose]();
  expect(await readFile(path, 'utf8')).toBe('');
});

test('where the file cannot be used, the map works in memory', async () => {
  await writeFile(join(dir, 'file'), '');
  await using map = await DurableMap.open({ path: join(dir, 'file', 'x'), clock, log });
  map.set('a', 1);
  expect(map.get('a')).toBe(1);
});
