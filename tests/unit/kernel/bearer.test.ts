import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readBearer } from '../../../device/kernel/bearer.ts';

test('the secret behind Bearer, however that is written, and nothing else', () => {
  expect(readBearer('Bearer spy_x')).toBe('spy_x');
  expect(readBearer('bearer   spy_x  ')).toBe('spy_x');
  for (const header of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'Basic eDp5',
    `Bearer ${'a'.repeat(513)}`,
  ]) {
    expect(readBearer(header)).toBeNull();
  }
});

test('whatever comes, it has no blanks, and at most 512 characters', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const secret = readBearer(`Bearer ${text}`);
      if (secret !== null) expect(secret).toMatch(/^\S{1,512}$/);
    }),
  );
});
