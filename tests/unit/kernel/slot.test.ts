import { expect, test } from 'vitest';
import { Slot, type Part } from '../../../device/kernel/slot.ts';

const partsOn =
  (made: string[]) =>
  (settings: string): Part => ({
    start: () => void made.push(`start ${settings}`),
    stop: async () => void made.push(`stop ${settings}`),
  });

test('one that begins paused builds nothing until it is resumed, and then on what it was adjusted to', async () => {
  const made: string[] = [];
  const slot = new Slot<string, Part>('old', partsOn(made), true);
  slot.start();
  await slot.restart('new');
  expect([slot.part, slot.isPaused, made]).toEqual([null, true, []]);
  await slot.setPaused(false);
  expect([slot.isPaused, made]).toEqual([false, ['start new']]);
  await slot.stop();
  slot.start();
  expect(made).toEqual(['start new', 'stop new']);
});
