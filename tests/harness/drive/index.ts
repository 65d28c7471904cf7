/**
 * A disk whose drive remembers all that reached it, so that afterwards the power can be cut at any moment: an
 * ext4 file system on a loop device on a file that `drive-process.ts` serves. Needs what loop disks need, and
 * FUSE: at the top level of a test file, `await requireDrives();`.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createLoopDisk } from '../loop-disk.ts';
import { memoryFolder } from '../memory-folder.ts';
import { lack } from '../packages.ts';
import { decodeEntries, type LogEntry } from './write-log.ts';

export type { LogEntry } from './write-log.ts';

const run = promisify(execFile);

export interface RememberingDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly directory: string;
  /** What the drive held before the first entry of the log: an empty file system. */
  blank(): Promise<Buffer>;
  /** Everything written so far is durable afterwards. */
  sync(): Promise<void>;
  /** What reached the drive so far. */
  log(): Promise<readonly LogEntry[]>;
}

export async function createRememberingDisk(mebibytes: number): Promise<RememberingDisk> {
  await using building = new AsyncDisposableStack();
  const folder = await mkdtemp(join(memoryFolder(), 'spyoncino-drive-'));
  building.defer(() => rm(folder, { recursive: true, force: true }));
  const blank = building.use(await createLoopDisk({ mebibytes }));
  const drive = join(folder, 'drive');
  const logFile = join(folder, 'log');
  const directory = join(folder, 'mounted');
  await Promise.all([writeFile(drive, ''), writeFile(logFile, '')]);
  const server = fork(fileURLToPath(new URL('drive-process.ts', import.meta.url)), [
    blank.image,
    drive,
    logFile,
  ]);
  const exited = once(server, 'exit');
  building.defer(async () => {
    await run('umount', [drive]).catch(async () => {
      // Whoever made a mount namespace meanwhile holds the file system for as long as that lives.
      await run('umount', ['--lazy', drive]).catch(() => {});
      server.kill('SIGKILL');
    });
    await exited;
  });
  const [first] = (await Promise.race([once(server, 'message'), exited])) as unknown[];
  if (first !== 'serving') throw new Error('the drive could not be mounted');
  server.disconnect();
  // A drive does not wait for the processor.
  if (process.getuid?.() === 0) setPriority(server.pid!, -10);
  const disk = building.use(await createLoopDisk({ image: drive }));
  await disk.mount(directory);
  const owned = building.move();
  return {
    directory,
    blank: () => readFile(blank.image),
    sync: async () => void (await run('sync', ['--file-system', directory])),
    log: async () => decodeEntries(await readFile(logFile)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Skips the file's tests where this machine cannot have such a disk. */
export async function requireDrives(): Promise<void> {
  try {
    await using _ = await createRememberingDisk(8);
  } catch (error) {
    lack(`drives served through FUSE: ${error instanceof Error ? error.message.trim() : String(error)}`);
  }
}
