import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readCookie } from '../../../device/kernel/cookie.ts';

test('a cookie is found among others, by its whole name', () => {
  expect(readCookie('a=1; __Host-spyoncino=spy_x=; b=2', '__Host-spyoncino')).toBe('spy_x=');
  expect(readCookie('x__Host-spyoncino=no; b=2', '__Host-spyoncino')).toBeNull();
  expect(readCookie('__Host-spyoncino=', '__Host-spyoncino')).toBeNull();
  expect(readCookie(undefined, 'a')).toBeNull();
});

test('nothing that is sent as one breaks it', () => {
  fc.assert(fc.property(fc.string(), fc.string(), (header, name) => void readCookie(header, name)));
});
