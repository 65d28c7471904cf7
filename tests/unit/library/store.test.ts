import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MIGRATIONS, USABLE_SINCE } from '../../../device/library/schema.ts';
import { indexPath, setIndexAside, Store } from '../../../device/library/store.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-store-'));
});
afterEach(() => rm(dataDir, { recursive: true }));

const open = (migrations: readonly string[] = MIGRATIONS, usableSince = USABLE_SINCE) =>
  Store.open({ dataDir, as: 'owner', migrations, usableSince });
const schemaOf = (store: Store): readonly unknown[] =>
  store.all('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name');

/** Two more, so that the way from an older version is tested before there is one. */
const LATER = [
  'ALTER TABLE camera ADD COLUMN note TEXT',
  `CREATE TABLE later (no INTEGER PRIMARY KEY, camera INTEGER NOT NULL REFERENCES camera) STRICT;
   INSERT INTO later (camera) SELECT no FROM camera;`,
];
const ALL = [...MIGRATIONS, ...LATER];

test.each(ALL.slice(1).map((_, i) => i + 1))(
  'a populated index of version %i becomes what a fresh one is, and is copied first',
  async (version) => {
    {
      using old = await open(ALL.slice(0, version));
      old.run('INSERT INTO camera (camera_id, since_ms) VALUES (?, ?)', 'porch', 1);
    }
    using migrated = await open(ALL);
    const fresh = new DatabaseSync(':memory:');
    for (const migration of ALL) fresh.exec(migration);
    expect(migrated.version).toBe(ALL.length);
    expect(schemaOf(migrated)).toEqual(
      fresh.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name').all(),
    );
    fresh.close();
    expect(migrated.get('SELECT camera_id FROM later JOIN camera ON camera.no = camera')).toMatchObject({
      camera_id: 'porch',
    });
    const copy = new DatabaseSync(`${indexPath(dataDir)}.v${version}`, { readOnly: true });
    expect(copy.prepare('SELECT camera_id FROM camera').all()).toMatchObject([{ camera_id: 'porch' }]);
    expect(copy.prepare('PRAGMA user_version').get()).toMatchObject({ user_version: version });
    copy.close();
  },
);

test('a migration that fails changes nothing', async () => {
  (await open())[Symbol.dispose]();
  const broken = [...MIGRATIONS, 'CREATE TABLE half (no INTEGER); CREATE TABLE half (no INTEGER)'];
  await expect(open(broken)).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' });
  using store = await open();
  expect(store.version).toBe(MIGRATIONS.length);
  expect(store.get(`SELECT 1 FROM sqlite_schema WHERE name = 'half'`)).toBeNull();
});

test('after an update that fell back the index is used as it is, and again by the newer program', async () => {
  (await open(ALL))[Symbol.dispose]();
  {
    using older = await open();
    expect(older.version).toBe(ALL.length);
    older.run('INSERT INTO camera (camera_id, since_ms) VALUES (?, ?)', 'porch', 1);
    using _guest = await Store.open({ dataDir, as: 'guest' });
  }
  using store = await open(ALL);
  expect(store.get('SELECT camera_id, note FROM camera')).toMatchObject({ camera_id: 'porch', note: null });
});

test('a newer index that is of no use to us is refused and stays as it is', async () => {
  (await open(ALL, ALL.length))[Symbol.dispose]();
  await expect(open(MIGRATIONS)).rejects.toMatchObject({ code: 'INDEX_NEWER' });
  using store = await open(ALL);
  expect(store.version).toBe(ALL.length);
});

test('a guest neither makes nor upgrades an index', async () => {
  const asGuest = () => Store.open({ dataDir, as: 'guest', migrations: ALL });
  await expect(asGuest()).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' });
  expect(existsSync(indexPath(dataDir))).toBe(false);
  (await open())[Symbol.dispose]();
  await expect(asGuest()).rejects.toMatchObject({ code: 'INDEX_UNAVAILABLE' });
  using owner = await open(ALL);
  // While the agent runs.
  using guest = await asGuest();
  owner.run('INSERT INTO camera (camera_id, since_ms) VALUES (?, ?)', 'porch', 1);
  expect(guest.get('SELECT count(*) AS n FROM camera')).toMatchObject({ n: 1 });
});

test('what an inner transaction did is undone alone, what an outer one did altogether', async () => {
  using store = await open();
  const add = (id: string) => store.run('INSERT INTO camera (camera_id, since_ms) VALUES (?, 1)', id);
  const ids = () =>
    store.all<{ camera_id: string }>('SELECT camera_id FROM camera').map((row) => row.camera_id);
  const fail = (): never => {
    throw new Error('no');
  };
  store.transaction(() => {
    add('kept');
    expect(() => store.transaction(() => [add('undone'), fail()])).toThrow('no');
    add('kept too');
  });
  expect(() =>
    store.transaction(() => {
      add('outer');
      store.transaction(() => add('inner'));
      fail();
    }),
  ).toThrow('no');
  expect(ids()).toEqual(['kept', 'kept too']);
});

test('indexes that were set aside are kept, the newest three', async () => {
  for (let day = 1; day <= 5; day++) {
    (await open())[Symbol.dispose]();
    await setIndexAside(dataDir, Date.UTC(2026, 2, day));
  }
  const names = await readdir(dirname(indexPath(dataDir)));
  expect(names.toSorted()).toEqual([3, 4, 5].map((day) => `index.sqlite.unusable-2026030${day}T000000.000Z`));
});
