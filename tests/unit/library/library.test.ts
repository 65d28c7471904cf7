import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ErrorReport } from '../../../device/contract/errors.ts';
import { noMeter } from '../../../device/contract/metrics.ts';
import { systemClock } from '../../../device/kernel/clock.ts';
import { writeIdentity } from '../../../device/kernel/directory-identity.ts';
import { openLibrary, type Library } from '../../../device/library/index.ts';
import { indexPath, Store } from '../../../device/library/store.ts';
import { event, NOON_MS, segment, silent } from './rig.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-library-'));
});
afterEach(() => rm(dataDir, { recursive: true }));

const open = (onTroubles?: (troubles: readonly ErrorReport[]) => void): Promise<Library> =>
  openLibrary({
    dataDir,
    settings: {
      mediaId: null,
      headroomBytes: 0,
      cleanupIntervalMs: 30_000,
      retention: {
        continuous: { maxAgeMs: null, maxBytes: null },
        event: { maxAgeMs: null, maxBytes: null },
      },
    },
    logLevel: 'silent',
    clock: systemClock,
    log: silent,
    meter: noMeter,
    ...(onTroubles ? { onTroubles } : {}),
  });

test('what was taken before it was closed is there when it is opened again', async () => {
  let mediaId;
  {
    await using library = await open();
    mediaId = library.mediaId;
    library.take({ type: 'event', phase: 'new', event: event('e'), frameArrivedUtcMs: 0 });
    const indexed = await Promise.all([library.footage(segment('a')), library.footage(segment('b'))]);
    expect(indexed).toMatchObject([{ link: { position: 1 } }, { link: { position: 2 } }]);
    library.take({
      type: 'event',
      phase: 'update',
      event: event('e', { score: 0.95 }),
      frameArrivedUtcMs: 0,
    });
  }
  await using library = await open();
  expect(library.mediaId).toBe(mediaId);
  expect(library.troubles).toEqual([]);
});

test('a damaged index is set aside and made anew', async () => {
  await mkdir(join(dataDir, 'state'));
  await writeFile(
    indexPath(dataDir),
    'not a database at all, but long enough to be taken for one'.repeat(100),
  );
  await using library = await open();
  expect(library.troubles).toMatchObject([{ code: 'INDEX_UNUSABLE' }]);
  expect(await library.footage(segment('a'))).toMatchObject({ link: { position: 1 } });
  expect(await readdir(join(dataDir, 'state'))).toContainEqual(
    expect.stringMatching(/^index\.sqlite\.unusable-/),
  );
});

test('an index that breaks while it is in use is made anew, and what waits for it is not lost', async () => {
  const told: (readonly ErrorReport[])[] = [];
  await using library = await open((troubles) => told.push(troubles));
  library.registerConsumers({ upload: ['segment.ready'] });
  await library.footage(segment('a'));
  const intruder = new DatabaseSync(indexPath(dataDir), { defensive: false });
  intruder.exec(`
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = 'CREATE TABLE nonsense' WHERE name = 'file';
    PRAGMA schema_version = 4711;
  `);
  intruder.close();
  const footage = library.footage(segment('b'));
  await expect(library.ask('markAlive')).rejects.toThrow();
  expect(await footage).toMatchObject({ link: { position: 1 } });
  expect(await library.ask('outboxTake', { consumer: 'upload', limit: 9 })).toMatchObject([{ ref: 'b' }]);
  expect(library.troubles).toMatchObject([{ code: 'INDEX_UNUSABLE' }]);
  expect(told.flat().map(({ code }) => code)).toContain('INDEX_UNUSABLE');
  expect(await readdir(join(dataDir, 'state'))).toContainEqual(
    expect.stringMatching(/^index\.sqlite\.unusable-/),
  );
});

test('a library that is closed refuses questions and gives up what comes late', async () => {
  const library = await open();
  await library[Symbol.asyncDispose]();
  await expect(library.ask('markAlive')).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' });
  expect(await library.footage(segment('late'))).toBeNull();
});

test('there is one library per data directory, and the next may have it when that is closed', async () => {
  {
    await using _first = await open();
    await expect(open()).rejects.toMatchObject({ code: 'DATA_DIR_IN_USE' });
  }
  await using next = await open();
  expect(next.troubles).toEqual([]);
});

test('state of other rooms is kept by name, and what is written as all of it replaces the rest', async () => {
  {
    await using library = await open();
    const entries = [
      ['a', '1'],
      ['b', '2'],
    ] as const;
    await library.ask('writeState', { name: 'x', entries, isAll: false });
    await library.ask('writeState', { name: 'y', entries, isAll: false });
    await library.ask('writeState', { name: 'x', entries: [['a', null]], isAll: false });
    await library.ask('writeState', { name: 'y', entries: [['c', '3']], isAll: true });
  }
  await using library = await open();
  expect(await library.ask('readState', { name: 'x' })).toEqual([['b', '2']]);
  expect(await library.ask('readState', { name: 'y' })).toEqual([['c', '3']]);
});

test('an index of a newer version is not touched, and recording can go on', async () => {
  {
    using store = await Store.open({ dataDir, as: 'owner' });
    store.run('PRAGMA user_version = 999');
    store.run('UPDATE usable SET since_version = 999');
  }
  await mkdir(join(dataDir, 'media'));
  await writeIdentity(join(dataDir, 'media'), { id: 'disk', createdUtcMs: NOON_MS });
  await using library = await open();
  expect(library.troubles).toMatchObject([{ code: 'INDEX_NEWER' }]);
  expect(library.mediaId).toBe('disk');
  expect(await library.footage(segment('a'))).toBeNull();
  await expect(library.ask('markAlive')).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' });
});
