import { readFile, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { createHash } from 'node:crypto';
import { noMeter } from '../../../device/contract/metrics.ts';
import { systemClock } from '../../../device/kernel/clock.ts';
import { openLibrary } from '../../../device/library/index.ts';
import { RECORDING } from '../../harness/media.ts';
import { verifyFiles } from '../../../device/library/verify.ts';
import { removeFootage } from '../../../device/library/garbage.ts';
import { materialiseClip } from '../../../device/library/materialise.ts';
import { readMp4 } from '../record/mp4.ts';
import { syntheticStream } from '../record/synthetic.ts';
import { at, recorded } from './recorded.ts';
import { clip, event, segment, silent } from './rig.ts';

const GOPS = Array.from({ length: 15 }, () => 10);
const ID = '20261123T101532.523Z-7-99';
const rangeClip = clip(ID, ['visit'], { ranged: true, startUtcMs: at(2.4), durationMs: 7000 });

test('a clip that ranges over segments becomes a footage file like any other', async () => {
  await using camera = await recorded([syntheticStream({ gops: GOPS, bFrames: 2, audio: true })]);
  await camera.close();
  camera.commit([{ type: 'event', event: event('visit', { startUtcMs: at(3) }) }, rangeClip]);
  const made = await materialiseClip(camera.context, ID);
  expect(made.path).toBe(`media/clips/porch/2026-11-23/${ID}.mp4`);
  const bytes = await readFile(join(camera.dataDir, made.path));
  expect(made).toMatchObject({
    sizeBytes: bytes.byteLength,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    // From the key frame before.
    startUtcMs: at(2),
  });
  const { tracks, notes } = readMp4(bytes);
  expect(notes).toEqual([
    { kind: 'clip', id: ID, camera_id: 'porch', start_ts: at(2), event_ids: ['visit'] },
  ]);
  const whole = await Promise.all(
    camera
      .files()
      .filter((path) => !path.includes(ID))
      .map((path) => readFile(path)),
  );
  for (const [i, fromMs] of [at(2), at(2)].entries()) {
    const from = whole.flatMap((bytes) => {
      const file = readMp4(bytes);
      const { start_ts } = file.notes.at(-1) as { start_ts: number };
      const { samples, timescale, mediaTime } = file.tracks[i]!;
      return samples.map(({ pts, data }) => ({
        utcMs: start_ts + ((pts - mediaTime) / timescale) * 1000,
        data,
      }));
    });
    const { samples, timescale, mediaTime } = tracks[i]!;
    const expected = from.filter(({ utcMs }) => utcMs >= fromMs - 1 && utcMs < at(9.4));
    const copied = samples.filter(({ pts }) => fromMs + ((pts - mediaTime) / timescale) * 1000 < at(9.4));
    expect(copied.map(({ data }) => data.toString())).toEqual(expected.map(({ data }) => data.toString()));
    for (const [n, { pts }] of copied.entries()) {
      expect(fromMs + ((pts - mediaTime) / timescale) * 1000).toBeCloseTo(expected[n]!.utcMs, 0);
    }
  }
  // Its seals fit, and the chain has it.
  const { files } = await verifyFiles(camera.context, {
    paths: [join(camera.dataDir, made.path)],
    anchors: [{ cameraId: 'porch', ...made.chain, from: 'test' }],
  });
  expect(files[0]).toMatchObject({ state: 'unaltered', link: { kind: 'clip', fileId: ID } });
});

test('whoever asks at the same time, or again, gets the same file', async () => {
  await using camera = await recorded([syntheticStream({ gops: GOPS })]);
  await camera.close();
  camera.commit([{ type: 'event', event: event('visit', { startUtcMs: at(3) }) }, rangeClip]);
  const [first, second] = await Promise.all([
    materialiseClip(camera.context, ID),
    materialiseClip(camera.context, ID),
  ]);
  expect(second).toEqual(first);
  expect(await materialiseClip(camera.context, ID)).toEqual(first);
  expect(await readdir(dirname(join(camera.dataDir, first.path)))).toEqual([`${ID}.mp4`]);
  const { links } = camera.context.store.get<{ links: number }>(
    'SELECT count(*) AS links FROM link WHERE file_id = ?',
    ID,
  )!;
  expect(links).toBe(1);
});

test('a clip that was deleted is made again as it was, or not at all', async () => {
  await using camera = await recorded([syntheticStream({ gops: GOPS })]);
  await camera.close();
  camera.commit([{ type: 'event', event: event('visit', { startUtcMs: at(3) }) }, rangeClip]);
  const first = await materialiseClip(camera.context, ID);
  await removeFootage(camera.context, { fileIds: [ID] });
  expect(await materialiseClip(camera.context, ID)).toEqual(first);
  const path = join(camera.dataDir, first.path);
  await removeFootage(camera.context, { fileIds: [ID, basename(camera.files()[0]!, '.mp4')] });
  await expect(materialiseClip(camera.context, ID)).rejects.toMatchObject({ code: 'FOOTAGE_NOT_FOUND' });
  expect(await readdir(dirname(path))).toEqual([]);
});

test('a clip that is unknown, or whose footage is gone, is refused', async () => {
  await using camera = await recorded([syntheticStream({ gops: GOPS })]);
  await camera.close();
  camera.commit([clip('later', [], { ranged: true, startUtcMs: at(500) })]);
  const refusal = expect.objectContaining({ code: 'FOOTAGE_NOT_FOUND' });
  await expect(materialiseClip(camera.context, 'nobody')).rejects.toEqual(refusal);
  await expect(materialiseClip(camera.context, 'later')).rejects.toEqual(refusal);
});

test('it is made in the thread of the library, and what is recorded meanwhile is committed before it is done', async () => {
  await using camera = await recorded([syntheticStream({ gops: GOPS, bytes: 50_000 })], {
    bufferBytes: 2 ** 28,
  });
  await camera.close();
  const wide = clip(ID, [], { ranged: true, startUtcMs: at(0), durationMs: 15_000 });
  camera.commit([wide]);
  await using library = await openLibrary({
    dataDir: camera.dataDir,
    settings: {
      mediaId: null,
      headroomBytes: 0,
      cleanupIntervalMs: 30_000,
      retention: RECORDING.retention,
    },
    ...{ logLevel: 'silent', clock: systemClock, log: silent, meter: noMeter },
  });
  const order: string[] = [];
  const made = library.ask('materialiseClip', ID).then((file) => {
    order.push('made');
    return file;
  });
  const committed = library
    .footage(segment('20261123T111530.123Z-7-77', { startUtcMs: at(3600) }))
    .then((indexed) => {
      order.push('committed');
      return indexed;
    });
  const [file, indexed] = await Promise.all([made, committed]);
  expect(file.sizeBytes).toBeGreaterThan(7_000_000);
  expect(indexed!.link!.position).toBeLessThan(file.chain.position);
  expect(order).toEqual(['committed', 'made']);
});
