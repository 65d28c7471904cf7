import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeDirectoryDurable, replaceFile, syncDirectory } from '../kernel/durable-file.ts';
import { parseYaml } from './files.ts';
import { isTree, type Tree } from './tree.ts';

/** A configuration that the agent ran with, or was asked to. */
const snapshot = z.object({
  fingerprint: z.string(),
  /** What it took the place of; null for the first. */
  parent: z.string().nullable(),
  /** Who wanted it: a user, or `file` for what was typed into config.yaml. */
  author: z.string(),
  utcMs: z.number(),
  changes: z.array(
    z.object({ key: z.string(), before: z.unknown().optional(), after: z.unknown().optional() }),
  ),
  /** Of config.yaml. */
  text: z.string(),
  /** Of the agent that took it; null: not all of it was known to that one. */
  version: z.string().nullable().optional(),
});
export type Snapshot = z.infer<typeof snapshot>;

/** A change that was written and is not yet confirmed. */
const pending = z.object({ from: z.string(), to: z.string() });
export type Pending = z.infer<typeof pending>;

const KEPT = 200;
const PENDING = 'pending.json';

/**
 * Snapshots as files, newest last by name, and the mark of a change that is not confirmed yet. What cannot be
 * read is skipped: a damaged snapshot must not keep a box from starting.
 */
export class History {
  readonly #folder: string;

  /** Below the agent's state directory. Nothing is made before there is something to keep. */
  constructor(stateDir: string) {
    this.#folder = join(stateDir, 'config');
  }

  /** Oldest first. */
  async list(): Promise<readonly Snapshot[]> {
    const texts = await Promise.all((await this.#names()).map((name) => this.#read(name)));
    return texts.flatMap((value) => snapshot.safeParse(value).data ?? []);
  }

  /** The newest whose fingerprint begins with `prefix`; null when there is none. */
  async find(prefix: string): Promise<Snapshot | null> {
    return (await this.list()).findLast(({ fingerprint }) => fingerprint.startsWith(prefix)) ?? null;
  }

  async latest(): Promise<Snapshot | null> {
    return (await this.list()).at(-1) ?? null;
  }

  /** Durable once it resolves. The oldest beyond the number kept go. */
  async add(entry: Snapshot): Promise<void> {
    const last = Number.parseInt((await this.#names()).at(-1) ?? '0', 10);
    // Numbered, as the clock of a board without a battery goes back.
    const number = String(last + 1).padStart(8, '0');
    await this.#write(`${number}-${entry.fingerprint.slice(0, 12)}.json`, entry);
    for (const name of (await this.#names()).slice(0, -KEPT))
      await rm(join(this.#folder, name), { force: true });
  }

  async pending(): Promise<Pending | null> {
    return pending.safeParse(await this.#read(PENDING)).data ?? null;
  }

  async setPending(change: Pending | null): Promise<void> {
    if (change) return await this.#write(PENDING, change);
    if ((await this.pending()) === null) return;
    await rm(join(this.#folder, PENDING));
    await syncDirectory(this.#folder);
  }

  async #names(): Promise<readonly string[]> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return [];
    });
    return names.filter((name) => name.endsWith('.json') && name !== PENDING).toSorted();
  }

  async #read(name: string): Promise<unknown> {
    try {
      return JSON.parse(await readFile(join(this.#folder, name), 'utf8')) as unknown;
    } catch {
      return null;
    }
  }

  async #write(name: string, value: unknown): Promise<void> {
    await makeDirectoryDurable(this.#folder);
    await replaceFile(join(this.#folder, name), `${JSON.stringify(value, null, 2)}\n`, 0o600);
  }
}

/** What the text of a snapshot says. */
export function writtenOf({ text }: Snapshot): Tree {
  const { value } = parseYaml('config.yaml', text);
  return isTree(value) ? value : {};
}
