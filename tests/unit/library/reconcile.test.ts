import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeIdentity } from '../../../device/kernel/directory-identity.ts';
import { commitFacts, type FootageFact } from '../../../device/library/commit.ts';
import { removeFootage, sweepGarbage } from '../../../device/library/garbage.ts';
import { reconcile } from '../../../device/library/reconcile.ts';
import { indexPath } from '../../../device/library/store.ts';
import { timeline } from '../../../device/library/timeline.ts';
import { startRig } from '../record/rig.ts';
import { START_UTC_MS, syntheticStream } from '../record/synthetic.ts';
import { clip, event, libraryRig, NOON_MS, putFile, segment, type LibraryRig } from './rig.ts';

let rig: LibraryRig;
beforeEach(async () => {
  rig = await libraryRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

const NOTHING = { looked: 0, adopted: 0, missing: 0, found: 0, unknown: 0, swept: 0 };
const rows = (sql: string, { context }: LibraryRig = rig): unknown[] => context.store.all(sql);

/** Real files of a real recorder, and what it told of them. */
async function recorded(mode: 'continuous' | 'events') {
  const recorder = await startRig({ mode, preRollMs: 1000, postRollMs: 1000 });
  const stream = syntheticStream({ gops: Array.from({ length: 40 }, () => 10), bFrames: 1 });
  recorder.recorder.openEvent('e', START_UTC_MS + 5000);
  recorder.recorder.closeEvent('e', START_UTC_MS + 8000);
  await recorder.play(stream);
  await recorder.recorder.close();
  const facts: FootageFact[] = recorder.facts.filter(
    (fact) => fact.type === 'clip.ready' || fact.type === 'segment.ready',
  );
  return { ...recorder, footage: facts };
}

const MADE_ANEW = `
  SELECT file_id, file.kind, camera, path, file.start_ms, file.end_ms, file.size_bytes, class, lower(hex(sha256)) AS sha256,
    (SELECT group_concat(start_ms || '-' || end_ms) FROM coverage WHERE file = file.no) AS coverage
  FROM file JOIN link USING (file_id, camera) ORDER BY file_id`;

test.each(['continuous', 'events'] as const)(
  'an index made anew from the disk knows of each file what the lost one knew (%s)',
  async (mode) => {
    await using disk = await recorded(mode);
    let before;
    {
      await using first = await libraryRig(disk.dataDir);
      commitFacts(first.context, disk.footage);
      before = rows(MADE_ANEW, first);
    }
    expect(before.length).toBeGreaterThan(0);
    await rm(dirname(indexPath(disk.dataDir)), { recursive: true });
    await using second = await libraryRig(disk.dataDir);
    expect(await reconcile(second.context, {})).toMatchObject({ adopted: before.length, unknown: 0 });
    // Which footage is an event's follows from clips that are ranges, and those are in the index alone.
    const classless = (list: unknown[]) => list.map((row) => Object.assign({}, row, { class: null }));
    expect(classless(rows(MADE_ANEW, second))).toEqual(classless(before));
    expect(await reconcile(second.context, {})).toEqual({ ...NOTHING, looked: before.length });
    // The facts of their writers, told late, change nothing.
    const links = rows('SELECT * FROM link', second);
    commitFacts(
      second.context,
      disk.footage.filter(({ sha256 }) => sha256 !== null),
    );
    expect(rows('SELECT * FROM link', second)).toEqual(links);
  },
);

test('what is gone is missing, what is there again is found, and neither is in the timeline otherwise', async () => {
  const facts = [0, 1, 2].map((i) => segment(`s${i}`, { startUtcMs: NOON_MS + i * 60_000 }));
  commitFacts(rig.context, facts);
  for (const { segment } of facts) await putFile(rig.dataDir, segment.path);
  expect(await reconcile(rig.context, {})).toEqual({ ...NOTHING, looked: 3 });
  const path = join(rig.dataDir, facts[1]!.segment.path);
  await rename(path, `${path}.away`);
  rig.clock.nowMs = NOON_MS + 180_000;
  expect(await reconcile(rig.context, {})).toMatchObject({ missing: 1, unknown: 1 });
  const day = { cameraId: 'porch', startUtcMs: NOON_MS, endUtcMs: NOON_MS + 180_000 };
  expect(timeline(rig.context, day).coverage).toHaveLength(2);
  expect(rows('SELECT files FROM total')).toEqual([{ files: 2 }]);
  await rename(`${path}.away`, path);
  expect(await reconcile(rig.context, {})).toMatchObject({ found: 1, missing: 0, unknown: 0 });
  expect(timeline(rig.context, day).coverage).toHaveLength(1);
  // A whole day's folder.
  await rm(dirname(path), { recursive: true });
  expect(await reconcile(rig.context, {})).toMatchObject({ missing: 3 });
});

test('files of unknown origin are counted and left alone; those in progress belong to their writers', async () => {
  await using disk = await recorded('continuous');
  await using library = await libraryRig(disk.dataDir);
  await reconcile(library.context, {});
  const known = disk.segments()[0]!.segment;
  const folder = dirname(known.path);
  await copyFile(join(disk.dataDir, known.path), join(disk.dataDir, folder, 'copy.mp4'));
  await mkdir(join(disk.dataDir, 'media/segments/yard/2026-11-23'), { recursive: true });
  // Whole, and says that it is another camera's.
  await copyFile(
    join(disk.dataDir, known.path),
    join(disk.dataDir, `media/segments/yard/2026-11-23/${known.segmentId}.mp4`),
  );
  await putFile(disk.dataDir, `${folder}/holiday.mp4`);
  await putFile(disk.dataDir, `${folder}/notes.txt`);
  await putFile(disk.dataDir, 'media/clips/porch/readme.txt');
  await putFile(disk.dataDir, 'media/stills/porch/2026-11-23/nobody.jpg');
  await putFile(disk.dataDir, `${folder}/growing.part.mp4`);
  await putFile(disk.dataDir, `${folder}/growing.part.mp4.broken`);
  const files = await readdir(join(disk.dataDir, 'media'), { recursive: true });
  expect(await reconcile(library.context, {})).toMatchObject({ adopted: 0, missing: 0, unknown: 6 });
  expect(await readdir(join(disk.dataDir, 'media'), { recursive: true })).toEqual(files);
});

test('a still whose fact was lost becomes that of its event; one that is gone is no longer said to be', async () => {
  const path = 'media/stills/porch/2026-03-01/e.jpg';
  commitFacts(rig.context, [{ type: 'event', event: event('e') }]);
  await putFile(rig.dataDir, path);
  expect(await reconcile(rig.context, {})).toMatchObject({ adopted: 1, unknown: 0 });
  expect(rows('SELECT path FROM still')).toEqual([{ path }]);
  expect(await reconcile(rig.context, {})).toEqual({ ...NOTHING, looked: 1 });
  await rm(join(rig.dataDir, path));
  expect(await reconcile(rig.context, {})).toMatchObject({ missing: 1 });
  expect(rows('SELECT path FROM still')).toEqual([]);
});

test('with another disk mounted, or none, nothing is missing and nothing is deleted', async () => {
  const fact = segment('s');
  commitFacts(rig.context, [fact]);
  await putFile(rig.dataDir, fact.segment.path);
  const media = join(rig.dataDir, 'media');
  await rename(media, `${media}-unplugged`);
  await expect(reconcile(rig.context, {})).rejects.toMatchObject({ code: 'MEDIA_FOREIGN' });
  await mkdir(media);
  await writeIdentity(media, { id: 'another', createdUtcMs: 1 });
  await putFile(rig.dataDir, fact.segment.path);
  await expect(reconcile(rig.context, {})).rejects.toMatchObject({ code: 'MEDIA_FOREIGN' });
  await expect(removeFootage(rig.context, { fileIds: ['s'] })).rejects.toMatchObject({
    code: 'MEDIA_FOREIGN',
  });
  expect(existsSync(join(rig.dataDir, fact.segment.path))).toBe(true);
  // Back again, what was decided then is done now.
  await rm(media, { recursive: true });
  await rename(`${media}-unplugged`, media);
  expect(await reconcile(rig.context, {})).toMatchObject({ swept: 1, missing: 0 });
  expect(existsSync(join(rig.dataDir, fact.segment.path))).toBe(false);
});

test('footage of another disk is left as it is', async () => {
  commitFacts(rig.context, [segment('s')]);
  rig.context.store.run(`INSERT INTO media (media_id, accepted_ms) VALUES ('another', 1)`);
  rig.context.store.run('UPDATE file SET media = 2');
  expect(await reconcile(rig.context, {})).toEqual(NOTHING);
});

test('deletion: rows and files go, clips and stills go with the last of their footage, events and the chain stay', async () => {
  const facts = [segment('s0'), segment('s1', { startUtcMs: NOON_MS + 60_000 })];
  commitFacts(rig.context, [
    { type: 'event', event: event('e', { endUtcMs: NOON_MS + 65_000, endReason: 'gone' }) },
    { type: 'event', event: event('without') },
    ...facts,
    clip('ranged', ['e'], { ranged: true, startUtcMs: NOON_MS + 50_000, durationMs: 20_000 }),
    {
      type: 'still',
      cameraId: 'porch',
      eventId: 'e',
      path: 'media/stills/porch/2026-03-01/e.jpg',
      utcMs: NOON_MS,
      sizeBytes: 5,
    },
  ]);
  for (const { segment } of facts) await putFile(rig.dataDir, segment.path);
  await putFile(rig.dataDir, 'media/stills/porch/2026-03-01/e.jpg');
  await removeFootage(rig.context, { fileIds: ['s0', 'of nobody'] });
  expect(rows('SELECT clip_id FROM clip')).toEqual([{ clip_id: 'ranged' }]);
  await removeFootage(rig.context, { fileIds: ['s1'], eventIds: ['without'] });
  for (const table of ['file', 'clip', 'clip_event', 'still', 'garbage']) {
    expect(rows(`SELECT * FROM ${table}`), table).toEqual([]);
  }
  expect(rows('SELECT event_id FROM event')).toEqual([{ event_id: 'e' }]);
  expect(rows('SELECT files, size_bytes FROM total WHERE files <> 0 OR size_bytes <> 0')).toEqual([]);
  expect(rows('SELECT position FROM link')).toEqual([{ position: 1 }, { position: 2 }]);
  const left = await readdir(join(rig.dataDir, 'media'), { recursive: true });
  expect(left.filter((name) => /\.(mp4|jpg)$/.test(name))).toEqual([]);
});

test('a crash between the rows and the files of a deletion leaves garbage that the next start sweeps', async () => {
  const fact = segment('s');
  commitFacts(rig.context, [fact]);
  await putFile(rig.dataDir, fact.segment.path);
  rig.context.store.transaction(() => {
    rig.context.store.run('INSERT INTO garbage (media, path, since_ms) SELECT media, path, 0 FROM file');
    rig.context.store.run('DELETE FROM file');
  });
  await rig.restart();
  expect(await reconcile(rig.context, {})).toEqual({ ...NOTHING, swept: 1 });
  expect(existsSync(join(rig.dataDir, fact.segment.path))).toBe(false);
});

test('whatever the index says, nothing outside the media directory is deleted', async () => {
  await writeFile(join(rig.dataDir, 'precious'), 'x');
  for (const path of ['precious', 'media/../precious', '/etc/hostname']) {
    rig.context.store.run('INSERT INTO garbage (media, path, since_ms) VALUES (1, ?, 0)', path);
  }
  expect(await sweepGarbage(rig.context)).toBe(0);
  expect(existsSync(join(rig.dataDir, 'precious'))).toBe(true);
  expect(rows('SELECT path FROM garbage')).toHaveLength(3);
});

test('an event that a dead agent left open has ended with its last sighting', async () => {
  commitFacts(rig.context, [{ type: 'event', event: event('e', { lastSeenUtcMs: NOON_MS + 5000 }) }]);
  rig.clock.nowMs += 100_000;
  await rig.restart();
  expect(rows("SELECT end_ms, json_extract(state, '$.endReason') AS reason FROM event")).toEqual([
    { end_ms: NOON_MS + 5000, reason: 'interrupted' },
  ]);
});
