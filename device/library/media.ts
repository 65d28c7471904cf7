import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import { readIdentity, writeIdentity, type DirectoryIdentity } from '../kernel/directory-identity.ts';

export const mediaDir = (dataDir: string): string => join(dataDir, 'media');

export interface MediaDecision {
  /** What camera hosts are to find on the disk before they write. */
  readonly mediaId: string;
  /** The disk has no identity yet and is given this one. */
  readonly isNew: boolean;
  /** Why nothing can be recorded now. */
  readonly trouble: CodedError | null;
}

export interface MediaKnowledge {
  /** What the directory says it is. */
  readonly found: DirectoryIdentity | null;
  /** Identities that were accepted, newest last. */
  readonly known: readonly string[];
  /** The only one the configuration allows. */
  readonly wanted: string | null;
}

/** Which disk to record to. Pure. */
export function decideMedia({ found, known, wanted }: MediaKnowledge, freshId: string): MediaDecision {
  const expected = wanted ?? known.at(-1) ?? null;
  if (!found) {
    if (expected === null) return { mediaId: freshId, isNew: true, trouble: null };
    return { mediaId: expected, isNew: false, trouble: new CodedError('MEDIA_MISSING') };
  }
  const isRight = wanted === null ? known.length === 0 || known.includes(found.id) : found.id === wanted;
  if (isRight) return { mediaId: found.id, isNew: false, trouble: null };
  return { mediaId: expected ?? found.id, isNew: false, trouble: new CodedError('MEDIA_FOREIGN', found.id) };
}

/** Looks at the disk, decides, and gives a new disk its identity. */
export async function openMedia(
  dataDir: string,
  knowledge: Pick<MediaKnowledge, 'known' | 'wanted'>,
  utcMs: number,
): Promise<{ readonly mediaId: string; readonly trouble: ErrorReport | null }> {
  const directory = mediaDir(dataDir);
  await mkdir(directory, { recursive: true });
  const found = await readIdentity(directory);
  const { mediaId, isNew, trouble } = decideMedia({ ...knowledge, found }, randomUUID());
  if (isNew) await writeIdentity(directory, { id: mediaId, createdUtcMs: Math.round(utcMs) });
  return { mediaId, trouble: trouble?.report() ?? null };
}
