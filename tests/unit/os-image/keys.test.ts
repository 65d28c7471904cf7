import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { takeKeys } from '../../../os-image/build/keys.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'spyoncino-keys-'));
  mkdirSync(join(dir, 'given'));
  for (const name of ['ca.pem', 'signer.pem', 'signer.key', 'notes.txt'])
    writeFileSync(join(dir, 'given', name), `given ${name}`);
});
afterEach(() => rmSync(dir, { recursive: true }));

test('given keys replace whatever lay in the folder, and nothing else is taken along', () => {
  const to = join(dir, 'cache');
  mkdirSync(to);
  writeFileSync(join(to, 'signer.key'), 'of development');
  writeFileSync(join(to, 'old.pem'), 'of development');
  takeKeys(join(dir, 'given'), to);
  expect(readdirSync(to).sort()).toEqual(['ca.pem', 'signer.key', 'signer.pem']);
  expect(readFileSync(join(to, 'signer.key'), 'utf8')).toBe('given signer.key');
});

test('a key that is missing is named, and none of another build is used in its place', () => {
  rmSync(join(dir, 'given', 'signer.key'));
  expect(() => takeKeys(join(dir, 'given'), join(dir, 'cache'))).toThrow('no signer.key');
  expect(readdirSync(dir)).toEqual(['given']);
});
