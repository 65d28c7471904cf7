import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { ROLES } from '../../contract/access.ts';
import { CodedError } from '../../contract/errors.ts';
import { makeDirectoryDurable, replaceFile } from '../../kernel/durable-file.ts';

const role = z.enum(ROLES);
/** Names of users and tokens: parts of log lines and topics. */
export const accountName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,31}$/,
    'must be 1 to 32 of a-z, 0-9, ., - and _, and begin with a letter or digit',
  );

const bookSchema = z.object({
  users: z.array(z.object({ name: accountName, role, password: z.string(), createdUtcMs: z.number() })),
  /** Of programs. `hash`: SHA-256 of the secret, in hex; secrets are random, so that is enough. */
  tokens: z.array(
    z.object({
      name: accountName,
      role,
      hash: z.string(),
      createdUtcMs: z.number(),
      expiresUtcMs: z.number().nullable(),
    }),
  ),
  sessions: z.array(z.object({ hash: z.string(), user: accountName, expiresUtcMs: z.number() })),
});

export type Book = z.output<typeof bookSchema>;
export type UserEntry = Book['users'][number];
export type TokenEntry = Book['tokens'][number];

export const EMPTY_BOOK: Book = { users: [], tokens: [], sessions: [] };

/** What tells one state of the file from another; null without a file. */
export async function bookVersion(path: string): Promise<string | null> {
  try {
    const { ino, mtimeNs } = await stat(path, { bigint: true });
    return `${ino}.${mtimeNs}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw CodedError.from(error, 'ACCESS_UNREADABLE');
  }
}

/** Throws ACCESS_UNREADABLE: without knowing who may, nobody may. */
export async function readBook(path: string): Promise<Book> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return EMPTY_BOOK;
    throw CodedError.from(error, 'ACCESS_UNREADABLE');
  }
  try {
    return bookSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new CodedError('ACCESS_UNREADABLE', path, { cause: error });
  }
}

export async function writeBook(path: string, book: Book): Promise<void> {
  await makeDirectoryDurable(dirname(path));
  await replaceFile(path, `${JSON.stringify(book, null, 2)}\n`, 0o600);
}
