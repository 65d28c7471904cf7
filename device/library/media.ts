import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { access, constants, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import { readIdentity, writeIdentity, type DirectoryIdentity } from '../kernel/directory-identity.ts';
import { makeDirectoryDurable } from '../kernel/durable-file.ts';
import type { LibraryContext } from './context.ts';
import { isTurnedReadOnly } from './mounts.ts';
import type { Store } from './store.ts';

export const mediaDir = (dataDir: string): string => join(dataDir, 'media');

/** What the disk at the media directory is to us. */
export interface MediaState {
  /** Identity it must show; footage is written to no other disk. */
  readonly mediaId: string;
  /** It does show it. */
  readonly isThere: boolean;
  /** Why nothing can be written to it now; null when it is there and all is well. */
  readonly problem: ErrorReport | null;
}

export interface MediaQuestion {
  readonly dataDir: string;
  /** null: any disk will do. */
  readonly expectedId: string | null;
  /** Given to a disk without identity where any will do; null: none is given. */
  readonly newId: string | null;
  readonly utcMs: number;
}

/**
 * Whether the disk that belongs here is here. Where any will do, one without identity is given `newId`, and one
 * with an identity is taken with all that is on it. Never rejects for what a disk can do to us.
 */
export async function lookAtMedia(question: MediaQuestion): Promise<MediaState> {
  const { expectedId, newId } = question;
  const directory = mediaDir(question.dataDir);
  const mediaId = expectedId ?? newId ?? '';
  try {
    const found = await identityIn(directory);
    if (found && (found.id === expectedId || expectedId === null)) {
      return { mediaId: found.id, isThere: true, problem: await writeProblem(directory) };
    }
    if (found) throw new CodedError('MEDIA_FOREIGN', `${directory} carries ${found.id}, not ${expectedId}`);
    if (expectedId !== null) throw new CodedError('MEDIA_MISSING', `${directory} should carry ${expectedId}`);
    const problem = await writeProblem(existsSync(directory) ? directory : question.dataDir);
    if (problem) return { mediaId, isThere: false, problem };
    if (newId === null) throw new CodedError('MEDIA_MISSING', `${directory} carries none`);
    await nameMedia(directory, newId, question.utcMs);
    return { mediaId, isThere: true, problem: null };
  } catch (error) {
    return { mediaId, isThere: false, problem: codedDiskError(error).report() };
  }
}

export interface MediaWish {
  /** `storage.media_id` */
  readonly pinnedId: string | null;
  /** The same each time: somebody may wait for a disk that could not be given it yet. */
  readonly newId: string;
}

/** As `lookAtMedia`, with what the index knows; a disk that may be used is a known one from then on. */
export async function findMedia(
  { store, dataDir, clock }: Pick<LibraryContext, 'store' | 'dataDir' | 'clock'>,
  { pinnedId, newId }: MediaWish,
): Promise<MediaState & { readonly media: number }> {
  const last = knownMedia(store).at(-1);
  const expectedId = pinnedId ?? last?.mediaId ?? null;
  const state = await lookAtMedia({ dataDir, expectedId, newId, utcMs: clock.utcMs() });
  const known = last?.mediaId === state.mediaId ? last.no : NO_MEDIA;
  const media =
    known === NO_MEDIA && state.isThere ? acceptMedia(store, state.mediaId, clock.utcMs()) : known;
  return { ...state, media };
}

/** Number of a disk that has never been there. */
const NO_MEDIA = 0;

/** Looks again; everything else goes on with what it finds. */
export async function checkMedia(context: LibraryContext, wish: MediaWish): Promise<MediaState> {
  const { media, ...state } = await findMedia(context, wish);
  context.mediaId = state.mediaId;
  context.media = media;
  return state;
}

/** A disk that footage was ever kept on. */
export interface KnownMedia {
  readonly no: number;
  readonly mediaId: string;
  readonly acceptedUtcMs: number;
}

/** In the order in which they were accepted; the last is the one in use. */
export const knownMedia = (store: Store): readonly KnownMedia[] =>
  store.all<KnownMedia>(
    'SELECT no, media_id AS mediaId, accepted_ms AS acceptedUtcMs FROM media ORDER BY accepted_ms, no',
  );

/** The disk in use from now on. */
export function acceptMedia(store: Store, mediaId: string, utcMs: number): number {
  // Later than all others, also when the clock went back meanwhile.
  return store.get<{ no: number }>(
    `INSERT INTO media (media_id, accepted_ms) SELECT ?, max(?, coalesce(max(accepted_ms) + 1, 0)) FROM media
     WHERE true ON CONFLICT (media_id) DO UPDATE SET accepted_ms = excluded.accepted_ms RETURNING no`,
    ...[mediaId, Math.round(utcMs)],
  )!.no;
}

/** Takes the disk that is mounted now, whatever it is; one without identity is given one. Returns its identity. */
export async function acceptMounted(
  { dataDir, pinnedId, utcMs }: { dataDir: string; pinnedId: string | null; utcMs: number },
  store: Store,
): Promise<string> {
  const directory = mediaDir(dataDir);
  try {
    const found = await identityIn(directory);
    if (found && pinnedId !== null && found.id !== pinnedId) {
      throw new CodedError(
        'MEDIA_FOREIGN',
        `it carries ${found.id}, but storage.media_id asks for ${pinnedId}: change or remove that`,
      );
    }
    const mediaId = found?.id ?? pinnedId ?? randomUUID();
    if (!found) await nameMedia(directory, mediaId, utcMs);
    acceptMedia(store, mediaId, utcMs);
    return mediaId;
  } catch (error) {
    throw codedDiskError(error);
  }
}

export interface DiskSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** Of the file system at `directory`, as far as an ordinary user may use it. */
export async function spaceAt(directory: string): Promise<DiskSpace> {
  const { blocks, bavail, bsize } = await statfs(directory);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

/** A disk whose identity makes no sense is not ours. */
export async function identityIn(directory: string): Promise<DirectoryIdentity | null> {
  try {
    return await readIdentity(directory);
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw error;
    throw new CodedError('MEDIA_FOREIGN', (error as Error).message, { cause: error });
  }
}

async function nameMedia(directory: string, id: string, utcMs: number): Promise<void> {
  await makeDirectoryDurable(directory);
  await writeIdentity(directory, { id, createdUtcMs: Math.round(utcMs) });
}

/** Asks the kernel, writes nothing: a card lives longer when nothing is written while nothing happens. */
async function writeProblem(directory: string): Promise<ErrorReport | null> {
  try {
    await access(directory, constants.W_OK);
    if (!(await isTurnedReadOnly(directory))) return null;
    return new CodedError('DISK_READ_ONLY', 'it has turned read-only by itself').report();
  } catch (error) {
    return codedDiskError(error).report();
  }
}

const DISK_CODES: Readonly<Record<string, 'DISK_READ_ONLY' | 'DISK_FULL'>> = {
  EROFS: 'DISK_READ_ONLY',
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
};

/** An error of the file system, in words that people can act on. */
export const codedDiskError = (error: unknown): CodedError =>
  CodedError.from(error, DISK_CODES[(error as NodeJS.ErrnoException).code ?? ''] ?? 'DISK_WRITE_FAILED');
