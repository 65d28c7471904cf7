import { open, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportFootage } from '../../../device/library/export.ts';
import { materialiseClip } from '../../../device/library/materialise.ts';
import { removeFootage } from '../../../device/library/garbage.ts';
import { syntheticStream, VIDEO } from '../record/synthetic.ts';
import { readMovie, shownOf } from './movie.ts';
import { at, fragmentsOf, recorded, type Recorded } from './recorded.ts';
import { clip } from './rig.ts';

const TEN = Array.from({ length: 10 }, () => 10);

const cut = async (camera: Recorded, from: number, to: number, name = 'cut.mp4') => {
  const path = join(camera.dataDir, name);
  const exported = await exportFootage(camera.context, {
    ...{ cameraId: 'porch', fromUtcMs: at(from), toUtcMs: at(to), path },
  });
  return {
    ...exported,
    movies: await Promise.all(exported.files.map(async (file) => readMovie(await readFile(file.path)))),
  };
};

test('where the picture of the camera changes, the export goes on in a second file', async () => {
  const wide = {
    ...VIDEO,
    width: 1920,
    height: 1080,
    config: Uint8Array.of(1, 0x64, 0, 0x28, 0xff, 0xe0, 0),
  };
  await using camera = await recorded([
    syntheticStream({ gops: TEN }),
    syntheticStream({ gops: TEN, generation: 2, startUtcMs: at(12), video: wide }),
  ]);
  await camera.close();
  const { files, gaps, coverage, movies } = await cut(camera, 8.5, 14.2);
  expect(
    files.map(({ path, startUtcMs, endUtcMs, pictures }) => ({ path, startUtcMs, endUtcMs, pictures })),
  ).toEqual([
    { path: join(camera.dataDir, 'cut.mp4'), startUtcMs: at(8.5), endUtcMs: at(10), pictures: 15 },
    { path: join(camera.dataDir, 'cut.2.mp4'), startUtcMs: at(12), endUtcMs: at(14.2), pictures: 22 },
  ]);
  expect(gaps).toEqual([{ startUtcMs: at(10), endUtcMs: at(12) }]);
  expect(coverage).toHaveLength(2);
  expect(movies.map(({ tracks }) => shownOf(tracks[0]!).length)).toEqual([15, 22]);
  const { links } = camera.context.store.get<{ links: number }>(
    `SELECT count(*) AS links FROM link WHERE kind = 'export'`,
  )!;
  expect(links).toBe(2);
});

test('a gap keeps its length, and is told', async () => {
  await using camera = await recorded([
    syntheticStream({ gops: [10, 10], audio: true }),
    syntheticStream({ gops: [10, 10], generation: 2, startUtcMs: at(5), audio: true }),
  ]);
  await camera.close();
  const { files, gaps, movies } = await cut(camera, 1, 6.5);
  expect(gaps).toEqual([{ startUtcMs: at(2), endUtcMs: at(5) }]);
  expect(files).toHaveLength(1);
  const seconds = shownOf(movies[0]!.tracks[0]!).map((picture) => picture.seconds);
  expect(seconds).toHaveLength(25);
  expect(seconds.slice(9, 11).map((each) => Number(each.toFixed(3)))).toEqual([0.9, 4]);
  expect(movies[0]!.seconds).toBeCloseTo(5.5, 4);
});

test('a clip and the segments it was made from do not show anything twice; one stands in for the other', async () => {
  await using camera = await recorded([syntheticStream({ gops: TEN, bFrames: 2, audio: true })], {
    segmentMs: 2000,
  });
  await camera.close();
  const before = await cut(camera, 0.5, 9.5);
  camera.commit([
    clip('20261123T101532.123Z-7-50', [], { ranged: true, startUtcMs: at(2.5), durationMs: 4000 }),
  ]);
  await materialiseClip(camera.context, '20261123T101532.123Z-7-50');
  const both = await cut(camera, 0.5, 9.5, 'both.mp4');
  const what = ({ movies }: typeof both) =>
    movies[0]!.tracks.map((track) =>
      shownOf(track).map(({ seconds, data }) => `${seconds.toFixed(4)} ${data.toString()}`),
    );
  expect(what(both)).toEqual(what(before));
  // The segment from 4 s to 6 s goes; the clip still has that time.
  await removeFootage(camera.context, { fileIds: [camera.files()[3]!.split('/').at(-1)!.slice(0, -4)] });
  const rest = await cut(camera, 0.5, 9.5, 'rest.mp4');
  expect(rest.gaps).toEqual([]);
  expect(what(rest)).toEqual(what(before));
});

test('damaged footage is exported as it is, and told', async () => {
  await using camera = await recorded([syntheticStream({ gops: TEN })]);
  await camera.close();
  const [path] = camera.files() as [string];
  const { dataBytes, startUtcMs, endUtcMs } = (await fragmentsOf(path))[1]!;
  {
    await using file = await open(path, 'r+');
    await file.write(Buffer.of(0xff), 0, 1, dataBytes);
  }
  const { damaged, files } = await cut(camera, 0.5, 3.5);
  expect(damaged).toEqual([{ sourceId: path.split('/').at(-1)!.slice(0, -4), startUtcMs, endUtcMs }]);
  expect(files[0]!.pictures).toBe(30);
});

test('an export that is broken off leaves nothing behind', async () => {
  await using camera = await recorded([syntheticStream({ gops: TEN })]);
  await camera.close();
  const stop = new AbortController();
  const request = {
    ...{ cameraId: 'porch', fromUtcMs: at(0), toUtcMs: at(9), path: join(camera.dataDir, 'cut.mp4') },
    signal: stop.signal,
    onProgress: () => stop.abort(),
  };
  await expect(exportFootage(camera.context, request)).rejects.toThrow('aborted');
  expect((await readdir(camera.dataDir)).toSorted()).toEqual(['media', 'state']);
});

test('a place that cannot be written to is told by its name', async () => {
  await using camera = await recorded([syntheticStream({ gops: TEN })]);
  await camera.close();
  await expect(cut(camera, 0, 5, 'no/such/folder/cut.mp4')).rejects.toMatchObject({
    code: 'DISK_WRITE_FAILED',
    message: expect.stringContaining('no/such/folder') as string,
  });
});
