import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EventFact, PreviewFact } from '../../device/contract/facts.ts';
import type { PixelFrame } from '../../device/contract/media.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { TaskSet } from '../../device/kernel/tasks.ts';
import { Previews } from '../../device/previews.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-previews-'));
});
afterEach(() => rm(dataDir, { recursive: true }));

const event = (phase: 'new' | 'end', eventId: string): EventFact =>
  ({ type: 'event', phase, event: { eventId } }) as unknown as EventFact;

/** With previews that are made at once, out of pictures whose crops are counted. */
function rig() {
  const facts: PreviewFact[] = [];
  const inputs: number[] = [];
  let crops = 0;
  const tasks = new TaskSet((_name, error) => {
    throw error;
  });
  const previews = new Previews({
    ...{ cameraId: 'porch', dataDir, tasks, meter: noMeter, signal: new AbortController().signal },
    make: async (_job, input) => {
      inputs.push(input.byteLength / (480 * 270 * 3));
      return Buffer.from('gif');
    },
    onPreview: (fact) => facts.push(fact),
  });
  const frame = (utcMs: number): void =>
    previews.frame({
      ...{ width: 1920, height: 1080, utcMs },
      crop(_rect: unknown, width: number, height: number) {
        crops++;
        return new Uint8Array(width * height * 3);
      },
    } as unknown as PixelFrame);
  return { previews, tasks, facts, inputs, frame, crops: () => crops };
}

test('nothing is copied but while an event goes on, and then no more than ten pictures, made once', async () => {
  const { previews, tasks, facts, inputs, frame, crops } = rig();
  frame(0);
  expect(crops()).toBe(0);
  previews.event(event('new', 'a'));
  for (let utcMs = 0; utcMs < 60_000; utcMs += 100) frame(utcMs);
  previews.event(event('end', 'a'));
  await tasks.settle();
  expect({ crops: crops(), inputs }).toEqual({ crops: 10, inputs: [10] });
  expect(facts).toMatchObject([{ type: 'preview', eventId: 'a', path: 'cache/previews/porch/a.gif' }]);
});

test('an event without two pictures has none; files are kept for the newest events only', async () => {
  const { previews, tasks, facts, frame } = rig();
  previews.event(event('new', 'short'));
  frame(0);
  previews.event(event('end', 'short'));
  await tasks.settle();
  expect(facts).toEqual([]);
  for (let no = 10; no < 40; no++) {
    previews.event(event('new', `e${no}`));
    frame(no * 10_000);
    frame(no * 10_000 + 1000);
    previews.event(event('end', `e${no}`));
    await tasks.settle();
  }
  const names = (await readdir(join(dataDir, 'cache', 'previews', 'porch'))).toSorted();
  expect(names).toHaveLength(20);
  expect(names[0]).toBe('e20.gif');
});
