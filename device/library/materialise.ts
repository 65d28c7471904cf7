import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { CodedError } from '../contract/errors.ts';
import type { ClipReadyFact } from '../contract/facts.ts';
import type { ChainLink } from '../contract/library.ts';
import { makeDirectoryDurable } from '../kernel/durable-file.ts';
import { coverageOf, durationMsOf, readerOf } from '../kernel/fmp4/describe.ts';
import { fragment, sealBox, type Run, type Sample } from '../kernel/fmp4/fragment.ts';
import { fragmentedHead } from '../kernel/fmp4/init-segment.ts';
import { noteBox, type FootageNote } from '../kernel/fmp4/note.ts';
import { randomAccessBox, type AccessPoint } from '../kernel/fmp4/random-access.ts';
import { scanFile } from '../kernel/fmp4/scan.ts';
import { commitFacts } from './commit.ts';
import type { LibraryContext } from './context.ts';
import { byTracks, surveyAll, writeDurable } from './export-cut.ts';
import { planPieces } from './export-plan.ts';
import { beginCut, samplesOf, type Cut, type CutSample } from './export-samples.ts';
import { sourcesOf } from './export.ts';
import { readyPath } from './place.ts';
import { expectMedia } from './reconcile.ts';
import type { Store } from './store.ts';

export interface MaterialisedClip {
  /** Relative to the data directory. */
  readonly path: string;
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly chain: ChainLink;
}

/** Of each index: the clips that are being made into files. */
const underWay = new WeakMap<Store, Map<string, Promise<MaterialisedClip>>>();

/**
 * Makes sure that a clip is a file of its own, in the format of all footage: copied from the segments it ranges
 * over, from the key frame at or before its start. Where the camera's picture changed within, the longest stretch
 * of one kind. Who asks for a clip that is being made waits for the same file.
 *
 * @throws CodedError FOOTAGE_NOT_FOUND, MEDIA_MISSING, MEDIA_FOREIGN, DISK_WRITE_FAILED
 */
export function materialiseClip(context: LibraryContext, clipId: string): Promise<MaterialisedClip> {
  const jobs = underWay.get(context.store) ?? new Map<string, Promise<MaterialisedClip>>();
  underWay.set(context.store, jobs);
  const known = jobs.get(clipId);
  if (known) return known;
  const job = materialise(context, clipId).finally(() => jobs.delete(clipId));
  jobs.set(clipId, job);
  return job;
}

interface ClipRow {
  readonly no: number;
  readonly camera_id: string;
  readonly start_ms: number;
  readonly end_ms: number;
}

async function materialise(context: LibraryContext, clipId: string): Promise<MaterialisedClip> {
  const { store, dataDir } = context;
  const clip = store.get<ClipRow>(
    'SELECT clip.no, camera_id, start_ms, end_ms FROM clip JOIN camera ON camera.no = camera WHERE clip_id = ?',
    clipId,
  );
  if (!clip) throw new CodedError('FOOTAGE_NOT_FOUND', `there is no clip ${clipId}`);
  const file = fileOf(store, clipId);
  if (file) return file;
  await expectMedia(context);

  const { camera_id: cameraId, start_ms: startMs, end_ms: endMs } = clip;
  const sources = await sourcesOf(context, cameraId, startMs, endMs);
  const pieces = planPieces(await surveyAll(sources, context.signal), startMs, endMs);
  const [longest] = byTracks(pieces).toSorted((a, b) => lengthMs(b) - lengthMs(a));
  if (!longest) throw new CodedError('FOOTAGE_NOT_FOUND', `of clip ${clipId} nothing is left`);
  const cut = beginCut(longest, longest[0]!.fromUtcMs);
  const eventIds = store
    .all<{ event_id: string }>(
      'SELECT event_id FROM clip_event JOIN event ON event.no = event WHERE clip = ? ORDER BY event_id',
      clip.no,
    )
    .map(({ event_id }) => event_id);
  const note: FootageNote = {
    kind: 'clip',
    id: clipId,
    cameraId,
    startUtcMs: cut.originUtcMs,
    eventIds,
    clips: [],
  };
  const path = readyPath('clip', cameraId, clipId);
  await makeDirectoryDurable(dirname(join(dataDir, path)));
  const { sizeBytes, sha256 } = await writeDurable(
    join(dataDir, path),
    clipBytes(cut, note, context.signal),
    {
      accept: (sha256) => expectSame(store, clipId, sha256),
    },
  );
  const { durationMs, coverage } = await describe(join(dataDir, path), note);
  const fact: ClipReadyFact = {
    type: 'clip.ready',
    clip: { clipId, cameraId, eventIds, path, startUtcMs: note.startUtcMs, durationMs, sizeBytes },
    ...{ sha256, coverage, recovered: false },
  };
  const [committed] = commitFacts(context, [fact]);
  const made = fileOf(store, clipId);
  if (!made) throw new CodedError('INDEX_UNAVAILABLE', JSON.stringify(committed));
  return made;
}

/** A link is for good: a clip that was a file before, and was deleted, is made again as it was, or not at all. */
function expectSame(store: Store, clipId: string, sha256: string): void {
  const link = store.get<{ sha256: Uint8Array }>('SELECT sha256 FROM link WHERE file_id = ?', clipId);
  if (!link || Buffer.from(link.sha256).toString('hex') === sha256) return;
  throw new CodedError(
    'FOOTAGE_NOT_FOUND',
    `clip ${clipId} was deleted, and less is left now than it showed`,
  );
}

function fileOf(store: Store, clipId: string): MaterialisedClip | null {
  const row = store.get<{
    readonly path: string;
    readonly start_ms: number;
    readonly end_ms: number;
    readonly size_bytes: number;
    readonly sha256: Uint8Array;
    readonly position: number;
    readonly hash: Uint8Array;
  }>(
    `SELECT path, f.start_ms, f.end_ms, f.size_bytes, sha256, position, hash
     FROM clip JOIN file AS f ON f.no = clip.file JOIN link USING (file_id)
     WHERE clip_id = ? AND missing_ms IS NULL`,
    clipId,
  );
  return (
    row && {
      path: row.path,
      startUtcMs: row.start_ms,
      endUtcMs: row.end_ms,
      sizeBytes: row.size_bytes,
      sha256: Buffer.from(row.sha256).toString('hex'),
      chain: { position: row.position, hash: Buffer.from(row.hash).toString('hex') },
    }
  );
}

const lengthMs = (pieces: Cut['pieces']): number =>
  Math.min(pieces.at(-1)!.untilUtcMs, pieces.at(-1)!.source.endUtcMs) - pieces[0]!.fromUtcMs;

/** The file, a fragment at a time. */
async function* clipBytes(cut: Cut, note: FootageNote, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { tracks, timing } = cut.pieces[0]!.source;
  const { leadTicks } = cut;
  const head = [
    fragmentedHead({
      video: tracks.video,
      audio: tracks.audio ?? undefined,
      startUtcMs: note.startUtcMs,
      leadTicks,
      frameTicks: timing.frameTicks,
    }),
    noteBox(note),
  ];
  let unsealed = Buffer.concat(head);
  let atBytes = 0;
  const accessPoints: AccessPoint[] = [];
  let sequence = 0;
  for await (const { video, audio, isWhole } of samplesOf(cut, { withData: true, signal })) {
    const heard = audio.filter(({ decodeTicks }) => decodeTicks >= 0);
    if (video.length === 0 && heard.length === 0) continue;
    const [first] = video;
    const moofBytes = atBytes + unsealed.byteLength;
    if (first?.key) accessPoints.push({ timeTicks: first.shownTicks, moofBytes });
    const bytes = Buffer.concat([unsealed, ...fragment(++sequence, runOf(video), runOf(heard))]);
    // What was damaged stays marked: its seal does not fit here either.
    const checksum = isWhole ? crc32(bytes) : ~crc32(bytes) >>> 0;
    const seal = sealBox(0, checksum, 0);
    atBytes += bytes.byteLength + seal.byteLength;
    unsealed = NOTHING;
    yield bytes;
    yield seal;
  }
  yield randomAccessBox(accessPoints);
}

const NOTHING = Buffer.alloc(0);

function runOf(samples: readonly CutSample[]): Run {
  return {
    startTicks: samples[0]?.decodeTicks ?? 0,
    samples: samples.map(({ decodeTicks, shownTicks, durationTicks, key, data }, i): Sample => {
      const next = samples[i + 1];
      return {
        durationTicks: next ? next.decodeTicks - decodeTicks : durationTicks,
        offsetTicks: shownTicks - decodeTicks,
        key,
        data,
      };
    }),
  };
}

async function describe(
  path: string,
  note: FootageNote,
): Promise<Pick<ClipReadyFact, 'coverage'> & { durationMs: number }> {
  await using handle = await open(path);
  const scanned = await scanFile(readerOf(handle), (await handle.stat()).size);
  if (!scanned) throw new CodedError('FOOTAGE_NOT_FOUND', `of clip ${note.id} nothing could be copied`);
  return { durationMs: durationMsOf(scanned), coverage: coverageOf(scanned, note.startUtcMs) };
}
