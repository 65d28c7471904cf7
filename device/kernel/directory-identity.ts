import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from './durable-file.ts';

/** A directory that says who it is, so that an empty mount point is not taken for the disk that belongs there. */
const FILE = 'identity.json';

export interface DirectoryIdentity {
  readonly id: string;
  readonly createdUtcMs: number;
}

/** null when the directory, or the file in it, is not there; rejects when it cannot be read or makes no sense. */
export async function readIdentity(directory: string): Promise<DirectoryIdentity | null> {
  let text: string;
  try {
    text = await readFile(join(directory, FILE), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const { id, created_ts } = JSON.parse(text) as { id?: unknown; created_ts?: unknown };
  if (typeof id !== 'string' || typeof created_ts !== 'number') {
    throw new Error(`${join(directory, FILE)} does not hold an identity`);
  }
  return { id, createdUtcMs: created_ts };
}

/** Durable once it resolves. The directory must exist. */
export async function writeIdentity(directory: string, identity: DirectoryIdentity): Promise<void> {
  const text = `${JSON.stringify({ id: identity.id, created_ts: identity.createdUtcMs })}\n`;
  await replaceFile(join(directory, FILE), text);
}
