import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fetchFootage } from '../../../device/cli/footage.ts';

let dir: string;
let cacheDir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spyoncino-footage-'));
  cacheDir = join(dir, 'cache');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});

/** Puts an `apt-get` of our own before the machine's; `$last` is its last argument, `$all` are all. */
async function simulateApt(script: string): Promise<void> {
  const bin = join(dir, 'bin');
  await mkdir(bin);
  const head = '#!/bin/sh\nall="$*"; for last; do :; done';
  await writeFile(join(bin, 'apt-get'), `${head}\n${script}\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`);
}

const PLAN = `case "$all" in *--print-uris*) echo "'http://mirror/opencv-doc_1_all.deb' opencv-doc_1_all.deb 4 SHA256:0"; exit;; esac`;

test('a machine without apt is told so', async () => {
  vi.stubEnv('PATH', join(dir, 'nothing'));
  await expect(fetchFootage({ cacheDir })).rejects.toMatchObject({
    code: 'FOOTAGE_UNAVAILABLE',
    message: expect.stringContaining('apt-get is not there'),
  });
  expect(await readdir(cacheDir)).toEqual([]);
});

test('an offline machine is told what apt complained about, after a try with package lists of our own', async () => {
  await simulateApt(
    `echo "$all" >>"${join(dir, 'calls')}"; echo 'E: Could not resolve mirror' >&2; exit 100`,
  );
  await expect(fetchFootage({ cacheDir })).rejects.toMatchObject({
    code: 'FOOTAGE_UNAVAILABLE',
    message: expect.stringContaining('E: Could not resolve mirror'),
  });
  const calls = (await readFile(join(dir, 'calls'), 'utf8')).trim().split('\n');
  expect(calls).toHaveLength(2);
  expect(calls[1]).toMatch(/Dir::State::Lists=.* update$/);
  expect(await readdir(cacheDir)).toEqual([]);
});

test('a package that is not what we expect leaves nothing in the cache', async () => {
  await simulateApt(`${PLAN}\nprintf junk >opencv-doc_1_all.deb`);
  const seen: number[] = [];
  await expect(
    fetchFootage({ cacheDir, onProgress: ({ totalBytes }) => seen.push(totalBytes) }),
  ).rejects.toMatchObject({ code: 'FOOTAGE_UNAVAILABLE' });
  expect(seen.at(-1)).toBe(4);
  expect(await readdir(cacheDir)).toEqual([]);
});

test('abort ends the download at once and cleans up', async () => {
  const started = join(dir, 'started');
  await simulateApt(`${PLAN}\n: >"${started}"; exec sleep 60`);
  const stop = new AbortController();
  const fetching = fetchFootage({ cacheDir, signal: stop.signal });
  await vi.waitUntil(async () => (await readdir(dir)).includes('started'), { timeout: 10_000 });
  stop.abort(new Error('enough'));
  await expect(fetching).rejects.toThrow('enough');
  expect(await readdir(cacheDir)).toEqual([]);
});

test('an unreadable cache is an error with a code, not a crash', async () => {
  await writeFile(cacheDir, 'a file where the directory should be');
  await expect(fetchFootage({ cacheDir })).rejects.toMatchObject({ code: 'FOOTAGE_UNAVAILABLE' });
});
