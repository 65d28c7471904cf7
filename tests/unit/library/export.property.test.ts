import fc from 'fast-check';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportFootage, type Exported } from '../../../device/library/export.ts';
import { CodedError } from '../../../device/contract/errors.ts';
import { syntheticStream } from '../record/synthetic.ts';
import { readMovie, shownOf, type Movie } from './movie.ts';
import { at, recorded, type RecordedStream } from './recorded.ts';

/** A camera that loses its connection for a while. */
const streams = fc
  .record({
    gops: fc.array(fc.integer({ min: 1, max: 14 }), { minLength: 4, maxLength: 14 }),
    again: fc.array(fc.integer({ min: 1, max: 14 }), { minLength: 1, maxLength: 8 }),
    outageMs: fc.integer({ min: 400, max: 5000 }),
    bFrames: fc.integer({ min: 0, max: 2 }),
    audio: fc.boolean(),
    audioDelayMs: fc.integer({ min: -100, max: 200 }),
  })
  .map(({ gops, again, outageMs, ...shape }): readonly RecordedStream[] => {
    const pictures = gops.reduce((sum, length) => sum + length, 0);
    const startUtcMs = at(pictures / 10) + outageMs;
    return [
      syntheticStream({ ...shape, gops }),
      syntheticStream({ ...shape, gops: again, generation: 2, startUtcMs }),
    ];
  });

const packetsOf = (played: readonly RecordedStream[], track: 'video' | 'audio') =>
  played.flatMap(({ packets }) => packets.filter((packet) => packet.track === track));

const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');

/** What is asked for, and what came of it. */
async function cut(played: readonly RecordedStream[], segmentMs: number, fromMs: number, lengthMs: number) {
  await using camera = await recorded(played, { segmentMs });
  await camera.close();
  const [fromUtcMs, toUtcMs] = [at(fromMs / 1000), at((fromMs + lengthMs) / 1000)];
  const path = join(camera.dataDir, 'cut.mp4');
  const request = { cameraId: 'porch', fromUtcMs, toUtcMs, path };
  let exported: Exported;
  try {
    exported = await exportFootage(camera.context, request);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'FOOTAGE_NOT_FOUND') return null;
    throw error;
  }
  const bytes = await readFile(path);
  const again = await exportFootage(camera.context, { ...request, path: join(camera.dataDir, 'again.mp4') });
  expect(again.files[0]!.sha256).toBe(exported.files[0]!.sha256);
  expect(again.files[0]!.chain).toEqual(exported.files[0]!.chain);
  return { exported, movie: readMovie(bytes), bytes };
}

function expectPictures(
  movie: Movie,
  played: readonly RecordedStream[],
  fromUtcMs: number,
  toUtcMs: number,
): number {
  const pictures = packetsOf(played, 'video').toSorted((a, b) => a.utcMs - b.utcMs);
  const before = pictures.findLast(({ utcMs }) => utcMs <= fromUtcMs);
  const isOnScreen = before !== undefined && before.utcMs + 100 > fromUtcMs;
  const expected = pictures.filter(
    (picture) => (picture.utcMs > fromUtcMs && picture.utcMs < toUtcMs) || (isOnScreen && picture === before),
  );
  const startUtcMs = isOnScreen ? fromUtcMs : expected[0]!.utcMs;
  const shown = shownOf(movie.tracks[0]!);
  expect(shown.map(({ data }) => text(data))).toEqual(expected.map(({ data }) => text(data)));
  for (const [i, { seconds }] of shown.entries()) {
    const due = Math.max(0, expected[i]!.utcMs - startUtcMs) / 1000;
    expect(Math.abs(seconds - due)).toBeLessThan(2 / 90_000);
  }
  const endUtcMs = Math.min(toUtcMs, expected.at(-1)!.utcMs + 100);
  expect(Math.abs(movie.seconds - (endUtcMs - startUtcMs) / 1000)).toBeLessThan(0.0015);
  return startUtcMs;
}

test('whatever was recorded, and whichever stretch is wanted: its pictures and its sound, once, at their times', async () => {
  await fc.assert(
    fc.asyncProperty(
      streams,
      fc.integer({ min: 1000, max: 6000 }),
      fc.integer({ min: -1000, max: 14_000 }),
      fc.integer({ min: 1, max: 9000 }),
      async (played, segmentMs, fromMs, lengthMs) => {
        const [fromUtcMs, toUtcMs] = [at(fromMs / 1000), at((fromMs + lengthMs) / 1000)];
        const result = await cut(played, segmentMs, fromMs, lengthMs);
        const isThere = packetsOf(played, 'video').some(
          ({ utcMs }) => utcMs < toUtcMs && utcMs + 100 > fromUtcMs,
        );
        expect(result !== null).toBe(isThere);
        if (!result) return;
        const { movie } = result;
        expect(movie.boxes).toEqual(['ftyp', 'moov', 'uuid', 'mdat']);
        const [video, sound] = movie.tracks;
        expect(video!.samples[0]!.key).toBe(true);
        // Nothing is left out that something else was made from.
        const decoded = packetsOf(played, 'video').map(({ data }) => text(data));
        const names = video!.samples.map(({ data }) => text(data));
        const first = decoded.indexOf(names[0]!);
        expect(names).toEqual(decoded.slice(first, first + names.length));
        const startUtcMs = expectPictures(movie, played, fromUtcMs, toUtcMs);
        if (!sound) return;
        const endUtcMs = startUtcMs + movie.seconds * 1000;
        const heard = shownOf(sound);
        const due = packetsOf(played, 'audio').filter(
          ({ utcMs }) => utcMs >= startUtcMs && utcMs < endUtcMs - 1,
        );
        const heardNames = new Set(heard.map(({ data }) => text(data)));
        const inFile = sound.samples.map(({ data }) => text(data));
        expect(new Set(inFile).size).toBe(inFile.length);
        // None is there only to be hidden.
        const strange = packetsOf(played, 'audio').filter(
          ({ data, utcMs, duration }) =>
            inFile.includes(text(data)) && (utcMs >= toUtcMs || utcMs + duration / 8 <= fromUtcMs),
        );
        expect(strange).toEqual([]);
        for (const { seconds, data } of heard) {
          const packet = packetsOf(played, 'audio').find((packet) => text(packet.data) === text(data))!;
          expect(Math.abs(seconds - (packet.utcMs - startUtcMs) / 1000)).toBeLessThan(0.002);
        }
        // Sound from before the first picture of a connection is not recorded.
        const firsts = played.map(({ packets }) => packets.find(({ track }) => track === 'video')!);
        const missing = due.filter(
          (packet) =>
            !heardNames.has(text(packet.data)) &&
            firsts.some(
              (first) => first.generation === packet.generation && packet.utcMs >= first.utcMs + 150,
            ),
        );
        expect(missing).toEqual([]);
      },
    ),
    { numRuns: 30, endOnFailure: true },
  );
}, 60_000);
