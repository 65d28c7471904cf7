/** The manifest of a day of a camera: what is in the bucket, so that it can be checked and read without the device. */
import { z } from 'zod';
import { CodedError } from '../contract/errors.ts';
import { REMOTE_KINDS, type ManifestEntry } from '../contract/sync.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const span = z.object({ start_ts: z.number(), end_ts: z.number() });
const manifest = z.object({
  schema: z.literal('spyoncino.manifest/1'),
  camera_id: z.string(),
  day: z.string(),
  written_ts: z.number(),
  objects: z.array(
    z.object({
      key: z.string(),
      kind: z.enum(REMOTE_KINDS),
      id: z.string(),
      start_ts: z.number(),
      end_ts: z.number(),
      // Of the file, whatever was sent in its place.
      size_bytes: z.number().int(),
      sha256,
      etag: z.string(),
      sealed: z.object({ key_id: z.string(), size_bytes: z.number().int(), sha256 }).nullable().default(null),
    }),
  ),
  coverage: z.array(span),
});

export interface Manifest {
  readonly cameraId: string;
  /** UTC. */
  readonly day: string;
  readonly writtenUtcMs: number;
  readonly objects: readonly Omit<ManifestEntry, 'coverage'>[];
  /** Of all footage in the bucket together; ascending, disjoint. */
  readonly coverage: ManifestEntry['coverage'] & {};
}

export function manifestText(
  { cameraId, day, writtenUtcMs }: Omit<Manifest, 'objects' | 'coverage'>,
  entries: readonly ManifestEntry[],
): string {
  const value: z.output<typeof manifest> = {
    schema: 'spyoncino.manifest/1',
    camera_id: cameraId,
    day,
    written_ts: Math.round(writtenUtcMs),
    objects: entries.map(({ key, kind, id, startUtcMs, endUtcMs, sizeBytes, sha256, etag, sealed }) => ({
      key,
      kind,
      id,
      start_ts: startUtcMs,
      end_ts: endUtcMs,
      size_bytes: sizeBytes,
      sha256,
      etag,
      sealed: sealed && { key_id: sealed.keyId, size_bytes: sealed.sizeBytes, sha256: sealed.sha256 },
    })),
    coverage: coverageOf(entries).map(({ startUtcMs, endUtcMs }) => ({
      start_ts: startUtcMs,
      end_ts: endUtcMs,
    })),
  };
  return `${JSON.stringify(value, null, 1)}\n`;
}

/** @throws CodedError S3_CORRUPTED */
export function parseManifest(key: string, text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CodedError('S3_CORRUPTED', `${key} is no manifest`, { cause: error });
  }
  const parsed = manifest.safeParse(value);
  if (!parsed.success) throw new CodedError('S3_CORRUPTED', `${key} is no manifest of ours`);
  const { camera_id, day, written_ts, objects, coverage } = parsed.data;
  return {
    ...{ cameraId: camera_id, day, writtenUtcMs: written_ts },
    objects: objects.map(({ key, kind, id, start_ts, end_ts, size_bytes, sha256, etag, sealed }) => ({
      key,
      kind,
      id,
      startUtcMs: start_ts,
      endUtcMs: end_ts,
      sizeBytes: size_bytes,
      sha256,
      etag,
      sealed: sealed && { keyId: sealed.key_id, sizeBytes: sealed.size_bytes, sha256: sealed.sha256 },
    })),
    coverage: coverage.map(({ start_ts, end_ts }) => ({ startUtcMs: start_ts, endUtcMs: end_ts })),
  };
}

/** What there is footage of, of all files together. */
export function coverageOf(entries: readonly ManifestEntry[]): { startUtcMs: number; endUtcMs: number }[] {
  const spans = entries
    .filter(({ kind }) => kind !== 'still')
    .flatMap(({ startUtcMs, endUtcMs, coverage }) => coverage ?? [{ startUtcMs, endUtcMs }])
    .toSorted((a, b) => a.startUtcMs - b.startUtcMs);
  const joined: { startUtcMs: number; endUtcMs: number }[] = [];
  for (const { startUtcMs, endUtcMs } of spans) {
    const last = joined.at(-1);
    if (last && startUtcMs <= last.endUtcMs) last.endUtcMs = Math.max(last.endUtcMs, endUtcMs);
    else joined.push({ startUtcMs, endUtcMs });
  }
  return joined;
}
