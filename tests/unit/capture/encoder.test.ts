import { expect, test } from 'vitest';
import { ENCODERS, firstThatOpens } from '../../../device/capture/encoder.ts';
import { FfmpegFailure } from '../../../device/capture/ffmpeg.ts';

const choices = [
  { name: 'hardware', options: {} },
  { name: 'software', options: {} },
];
const failed = new FfmpegFailure(-19, 'opening it');

/** A machine on which opening each encoder gives this. */
const machine =
  (outcomes: Readonly<Record<string, string | Error | null>>, asked: string[] = []) =>
  async ({ name }: { name: string }) => {
    asked.push(name);
    const outcome = outcomes[name]!;
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };

test('the order is: hardware of small boards, then software', () => {
  expect(ENCODERS.map(({ name }) => name)).toEqual(['h264_v4l2m2m', 'libx264']);
});

test('hardware that opens is taken, and nothing else is tried', async () => {
  const asked: string[] = [];
  const taken = await firstThatOpens(choices, machine({ hardware: 'a', software: 'b' }, asked));
  expect(taken).toEqual({ choice: choices[0], opened: 'a' });
  expect(asked).toEqual(['hardware']);
});

test.each([
  ['is not there', failed],
  ['is not built in', null],
])('software takes over where hardware %s', async (_, hardware) => {
  const taken = await firstThatOpens(choices, machine({ hardware, software: 'b' }));
  expect(taken).toEqual({ choice: choices[1], opened: 'b' });
});

test('when none opens, the last failure tells why', async () => {
  await expect(firstThatOpens(choices, machine({ hardware: null, software: failed }))).rejects.toBe(failed);
  await expect(firstThatOpens(choices, machine({ hardware: null, software: null }))).rejects.toThrow(
    'no H.264 encoder',
  );
});

test('a bug is not taken for missing hardware', async () => {
  const bug = new TypeError('x is not a function');
  await expect(firstThatOpens(choices, machine({ hardware: bug, software: 'b' }))).rejects.toBe(bug);
});
