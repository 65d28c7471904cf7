import { chmod, cp, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeTree, differences } from '../../../os-image/build/reproduce.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-reproduce-'));
  await mkdir(join(folder, 'a/etc'), { recursive: true });
  await writeFile(join(folder, 'a/etc/hosts'), 'localhost');
  await symlink('hosts', join(folder, 'a/etc/link'));
  await cp(join(folder, 'a'), join(folder, 'b'), { recursive: true, verbatimSymlinks: true });
});
afterEach(() => rm(folder, { recursive: true }));

const compare = (): readonly string[] =>
  differences(describeTree(join(folder, 'a')), describeTree(join(folder, 'b')));

test('two trees that differ in their times alone are the same', async () => {
  await utimes(join(folder, 'b/etc/hosts'), 1, 1);
  expect(compare()).toEqual([]);
});

test('content, modes, where links lead and what is there in one alone are named', async () => {
  await writeFile(join(folder, 'a/etc/hosts'), 'localhosT');
  await chmod(join(folder, 'b/etc'), 0o700);
  await rm(join(folder, 'a/etc/link'));
  await writeFile(join(folder, 'b/new'), '');
  expect(compare()).toEqual(['etc', 'etc/hosts', 'etc/link', 'new']);
});
