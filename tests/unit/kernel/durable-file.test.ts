import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeDirectoryDurable, renameDurable, syncDirectory } from '../../../device/kernel/durable-file.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-durable-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('makes a directory with its parents, and again without harm', async () => {
  await makeDirectoryDurable(join(folder, 'a', 'b', 'c'));
  await makeDirectoryDurable(join(folder, 'a', 'b', 'c'));
  expect(await readdir(folder, { recursive: true })).toEqual(['a', 'a/b', 'a/b/c']);
});

test('renames within and across directories', async () => {
  await makeDirectoryDurable(join(folder, 'other'));
  await writeFile(join(folder, 'draft'), 'text');
  await renameDurable(join(folder, 'draft'), join(folder, 'final'));
  await renameDurable(join(folder, 'final'), join(folder, 'other', 'final'));
  expect(await readdir(folder, { recursive: true })).toEqual(['other', 'other/final']);
  expect(await readFile(join(folder, 'other', 'final'), 'utf8')).toBe('text');
});

test('says what is missing', async () => {
  await expect(renameDurable(join(folder, 'nothing'), join(folder, 'x'))).rejects.toMatchObject({
    code: 'ENOENT',
  });
  await expect(syncDirectory(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'ENOENT' });
});
