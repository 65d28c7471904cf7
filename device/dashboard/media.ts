import { open, realpath, type FileHandle } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import { Answer } from './route.ts';

const TYPES: Readonly<Record<string, string>> = { '.mp4': 'video/mp4', '.jpg': 'image/jpeg' };

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/**
 * A file of footage, whole or the part that was asked for (RFC 9110 §14). `path` comes from the index, relative
 * to the data directory; a file elsewhere than below `media/`, also by a link, is none of ours.
 */
export async function sendMedia(dataDir: string, path: string, headers: Headers): Promise<Answer> {
  const type = TYPES[extname(path)];
  const file = type === undefined ? null : await openBelow(join(dataDir, 'media'), join(dataDir, path));
  if (!file) throw new CodedError('FOOTAGE_NOT_FOUND');
  try {
    return await answer(file, String(type), headers);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function answer(file: FileHandle, type: string, headers: Headers): Promise<Answer> {
  const { size, mtimeMs } = await file.stat();
  const etag = `"${size.toString(36)}-${Math.round(mtimeMs).toString(36)}"`;
  const common = {
    'content-type': type,
    'accept-ranges': 'bytes',
    'cache-control': 'private, no-cache',
    etag,
  };
  if (headers['if-none-match'] === etag) {
    await file.close();
    return new Answer(null, { status: 304, headers: common });
  }
  // A part of what the file was before is of no use to who has the rest of another one.
  const isSame = headers['if-range'] === undefined || headers['if-range'] === etag;
  const range = isSame ? parseRange(headers['range'], size) : null;
  if (range === 'unsatisfiable') {
    await file.close();
    return new Answer(null, { status: 416, headers: { ...common, 'content-range': `bytes */${size}` } });
  }
  const [first, last] = range ?? [0, size - 1];
  const stream = last < first ? null : file.createReadStream({ start: first, end: last });
  if (!stream) await file.close();
  return new Answer(stream ?? '', {
    status: range ? 206 : 200,
    headers: {
      ...common,
      'content-length': last - first + 1,
      ...(range && { 'content-range': `bytes ${first}-${last}/${size}` }),
    },
  });
}

/** null: all of it, also when several parts or something unknown is asked for. */
export function parseRange(
  header: string | string[] | undefined,
  size: number,
): readonly [first: number, last: number] | 'unsatisfiable' | null {
  const match = typeof header === 'string' ? /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim()) : null;
  if (!match) return null;
  const [, from = '', to = ''] = match;
  if (from === '' && to === '') return null;
  if (from === '')
    return Number(to) === 0 || size === 0 ? 'unsatisfiable' : [Math.max(0, size - Number(to)), size - 1];
  if (to !== '' && Number(to) < Number(from)) return null;
  if (Number(from) >= size) return 'unsatisfiable';
  return [Number(from), to === '' ? size - 1 : Math.min(Number(to), size - 1)];
}

/** null when there is no such file below `root`. */
async function openBelow(root: string, path: string): Promise<FileHandle | null> {
  try {
    const [realRoot, realFile] = await Promise.all([realpath(root), realpath(path)]);
    if (!realFile.startsWith(realRoot + sep)) return null;
    const file = await open(realFile, 'r');
    if ((await file.stat()).isFile()) return file;
    await file.close();
    return null;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE'].includes(code))
      return null;
    throw error;
  }
}
