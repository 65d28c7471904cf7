import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readIdentity, writeIdentity } from '../../../device/kernel/directory-identity.ts';
import {
  acceptMounted,
  findMedia,
  knownMedia,
  lookAtMedia,
  mediaDir,
} from '../../../device/library/media.ts';
import { Store } from '../../../device/library/store.ts';
import { HandClock } from './rig.ts';

let dataDir: string;
let store: Store;
const clock = new HandClock();
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-media-'));
  store = await Store.open({ dataDir, as: 'owner' });
});
afterEach(async () => {
  store[Symbol.dispose]();
  await rm(dataDir, { recursive: true });
});

const find = (pinnedId: string | null = null) =>
  findMedia({ store, dataDir, clock }, { pinnedId, newId: 'fresh' });
const accept = (pinnedId: string | null = null) =>
  acceptMounted({ dataDir, pinnedId, utcMs: clock.utcMs() }, store);
/** What is mounted from now on; null: an empty directory. */
async function mount(id: string | null): Promise<void> {
  await rm(mediaDir(dataDir), { recursive: true, force: true });
  await mkdir(mediaDir(dataDir));
  if (id !== null) await writeIdentity(mediaDir(dataDir), { id, createdUtcMs: 1 });
}
const known = () => knownMedia(store).map(({ mediaId }) => mediaId);

test('the first disk ever gets an identity, and is the right one from then on', async () => {
  expect(await find()).toMatchObject({ mediaId: 'fresh', isThere: true, problem: null });
  expect(await readIdentity(mediaDir(dataDir))).toMatchObject({ id: 'fresh' });
  expect(await find()).toMatchObject({ mediaId: 'fresh', isThere: true, problem: null });
  expect(known()).toEqual(['fresh']);
});

test('an empty mount point is not the disk, and nothing is written to it', async () => {
  await mount('ours');
  await find();
  await mount(null);
  expect(await find()).toMatchObject({ mediaId: 'ours', isThere: false, problem: { code: 'MEDIA_MISSING' } });
  expect(await readdir(mediaDir(dataDir))).toEqual([]);
  await rm(mediaDir(dataDir), { recursive: true });
  expect(await find()).toMatchObject({ isThere: false, problem: { code: 'MEDIA_MISSING' } });
  expect(await readdir(dataDir)).toEqual(['state']);
});

test('another disk is recognised, also one that was used long ago; the right one is welcome back', async () => {
  await mount('first');
  await find();
  await mount('second');
  expect(await find()).toMatchObject({
    mediaId: 'first',
    isThere: false,
    problem: { code: 'MEDIA_FOREIGN' },
  });
  await mount('first');
  expect(await find()).toMatchObject({ mediaId: 'first', isThere: true, problem: null });
  await mount('second');
  expect(await accept()).toBe('second');
  expect(await find()).toMatchObject({ mediaId: 'second', problem: null });
  await mount('first');
  expect(await find()).toMatchObject({ mediaId: 'second', problem: { code: 'MEDIA_FOREIGN' } });
  expect(known()).toEqual(['first', 'second']);
});

test('a disk without identity is given one when it is accepted', async () => {
  await mount('ours');
  await find();
  await mount(null);
  const mediaId = await accept();
  expect(await find()).toMatchObject({ mediaId, isThere: true, problem: null });
  expect(known()).toEqual(['ours', mediaId]);
});

test('acceptance counts, also after the clock went back', async () => {
  await mount('ours');
  await find();
  clock.nowMs -= 1e9;
  await mount('new');
  await accept();
  expect(await find()).toMatchObject({ mediaId: 'new', problem: null });
});

test('with the index lost, the disk that is there is taken over', async () => {
  await mount('ours');
  expect(await find()).toMatchObject({ mediaId: 'ours', isThere: true, problem: null });
  expect(known()).toEqual(['ours']);
});

test('only the pinned disk may be used, whatever the index knows', async () => {
  await mount('ours');
  await find();
  expect(await find('pinned')).toMatchObject({ mediaId: 'pinned', problem: { code: 'MEDIA_FOREIGN' } });
  await expect(accept('pinned')).rejects.toMatchObject({ code: 'MEDIA_FOREIGN' });
  await mount('pinned');
  expect(await find('pinned')).toMatchObject({ mediaId: 'pinned', isThere: true, problem: null });
  await mount(null);
  expect(await find('pinned')).toMatchObject({ problem: { code: 'MEDIA_MISSING' } });
  expect(await accept('pinned')).toBe('pinned');
});

test('a pin is enough to tell an empty mount point from a new disk', async () => {
  await mount(null);
  expect(await find('pinned')).toMatchObject({ isThere: false, problem: { code: 'MEDIA_MISSING' } });
});

test('an identity that makes no sense is nobody we know', async () => {
  await mount(null);
  await writeFile(join(mediaDir(dataDir), 'identity.json'), '{"id": 7}');
  expect(await find()).toMatchObject({ isThere: false, problem: { code: 'MEDIA_FOREIGN' } });
  expect(known()).toEqual([]);
});

test('while the index cannot be asked, a disk with an identity is taken, and none is given', async () => {
  const look = () => lookAtMedia({ dataDir, expectedId: null, newId: null, utcMs: clock.utcMs() });
  await mount(null);
  expect(await look()).toMatchObject({ isThere: false, problem: { code: 'MEDIA_MISSING' } });
  expect(await readdir(mediaDir(dataDir))).toEqual([]);
  await mount('ours');
  expect(await look()).toMatchObject({ mediaId: 'ours', isThere: true, problem: null });
});
