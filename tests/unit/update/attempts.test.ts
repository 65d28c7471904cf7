import fc from 'fast-check';
import { expect, test } from 'vitest';
import { attemptsInWords } from '../../../device/update/attempts.ts';

test('it is told how often a slot was tried, and why the initial RAM disk gave up', () => {
  const hash = '/dev/vda5 does not have the root hash of its boot partition';
  expect(attemptsInWords(`A 2 ${hash}\nA 1 ${hash}\nA 0 ${hash}\n`)).toBe(
    `it did not get as far as its health gate, and was tried 3 times: ${hash}`,
  );
  expect(attemptsInWords('B 2 started\nB 1 started\nB 1 no /var\n')).toBe(
    'it did not get as far as its health gate, and was tried 2 times: no /var',
  );
  expect(attemptsInWords('B 2 started\n')).toBe(
    'it did not get as far as its health gate, and was tried once',
  );
});

test('without a note, or with one that makes no sense, it is told all the same', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(attemptsInWords(text)).toMatch(/^it did not get as far as its health gate/);
    }),
  );
  expect(attemptsInWords('')).toBe('it did not get as far as its health gate');
});
