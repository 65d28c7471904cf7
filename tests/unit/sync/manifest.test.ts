import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ManifestEntry } from '../../../device/contract/sync.ts';
import { coverageOf, manifestText, parseManifest } from '../../../device/sync/manifest.ts';

const entry = (startUtcMs: number, endUtcMs: number, more: Partial<ManifestEntry> = {}): ManifestEntry => ({
  key: `segments/porch/2026-11-25/${startUtcMs}.mp4`,
  kind: 'segment',
  id: String(startUtcMs),
  startUtcMs,
  endUtcMs,
  sizeBytes: 5,
  sha256: '0'.repeat(64),
  etag: 'e',
  sealed: null,
  coverage: null,
  ...more,
});

test('a manifest is read back as it was written', () => {
  const entries = [entry(0, 10), entry(20, 30, { kind: 'clip' }), entry(25, 25, { kind: 'still' })];
  const about = { cameraId: 'porch', day: '2026-11-25', writtenUtcMs: 99 };
  expect(parseManifest('k', manifestText(about, entries))).toEqual({
    ...about,
    objects: entries.map(({ coverage: _coverage, ...object }) => object),
    coverage: [
      { startUtcMs: 0, endUtcMs: 10 },
      { startUtcMs: 20, endUtcMs: 30 },
    ],
  });
});

test.each(['', '{', '{}', '{"schema":"spyoncino.manifest/2"}'])('%j is no manifest', (text) => {
  expect(() => parseManifest('k', text)).toThrow(expect.objectContaining({ code: 'S3_CORRUPTED' }));
});

test('coverage is what any file covers, joined', () => {
  const span = fc
    .tuple(fc.nat({ max: 60 }), fc.nat({ max: 20 }))
    .map(([start, length]) => entry(start, start + length));
  fc.assert(
    fc.property(fc.array(span, { maxLength: 12 }), (entries) => {
      const joined = coverageOf(entries);
      for (const [n, { startUtcMs }] of joined.entries()) {
        if (n > 0) expect(startUtcMs).toBeGreaterThan(joined[n - 1]!.endUtcMs);
      }
      for (let ms = 0; ms < 80; ms++) {
        const isIn = (all: readonly { startUtcMs: number; endUtcMs: number }[]): boolean =>
          all.some(({ startUtcMs, endUtcMs }) => startUtcMs <= ms && ms < endUtcMs);
        expect(isIn(joined)).toBe(isIn(entries));
      }
    }),
  );
  expect(
    coverageOf([
      entry(0, 30, {
        coverage: [
          { startUtcMs: 0, endUtcMs: 5 },
          { startUtcMs: 9, endUtcMs: 30 },
        ],
      }),
    ]),
  ).toHaveLength(2);
});
