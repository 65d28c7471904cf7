import { expect, test } from 'vitest';
import { Turns, TurnsTaken } from '../../../device/kernel/turns.ts';

test('work is done one after the other, in order, whatever fails', async () => {
  const turns = new Turns(8);
  const log: string[] = [];
  const work = (name: string, fails = false) =>
    turns.take(async () => {
      log.push(`${name} begins`);
      await new Promise(setImmediate);
      log.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    });
  const all = await Promise.allSettled([work('a'), work('b', true), work('c')]);
  expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});

test('too many that wait are refused, and there is room again afterwards', async () => {
  const turns = new Turns(1);
  const gate = Promise.withResolvers<void>();
  const running = turns.take(() => gate.promise);
  const waiting = turns.take(async () => 'waited');
  await expect(turns.take(async () => 'refused')).rejects.toBeInstanceOf(TurnsTaken);
  gate.resolve();
  await running;
  expect(await waiting).toBe('waited');
  expect(await turns.take(async () => 'again')).toBe('again');
});
