/**
 * Small real disks: an ext4 file system in a file, mounted through a loop device. It fills up, turns read-only,
 * and can be taken out and swapped, as disks are. Needs root and the kernel's loop devices: at the top level of
 * a test file, `await requireLoopDisks();`; where it may not mount, the file's tests are skipped.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { lack } from './packages.ts';

const run = promisify(execFile);

export interface LoopDisk extends AsyncDisposable {
  /** The file that holds the disk. A copy of it taken while mounted is what a power cut would leave, if synced. */
  readonly image: string;
  /** Where it is mounted; null while it is not. */
  readonly directory: string | null;
  /** The directory is made when it is not there. Waits until what was open before the last `unmount` is closed. */
  mount(directory: string, mode?: 'rw' | 'ro'): Promise<void>;
  /** Fails while something has files open for writing, as `mount -o remount,ro` does. */
  remount(mode: 'rw' | 'ro'): Promise<void>;
  /** An error of the disk: the kernel turns the file system read-only under whoever uses it. */
  turnReadOnly(): Promise<void>;
  /** Also while files on it are open: it leaves the tree at once, and the device when they are closed. */
  unmount(): Promise<void>;
  freeBytes(): Promise<number>;
}

/** Mount points in use, the oldest first. */
const mounted = new Set<string>();

/** For `afterEach`: a test that ran out of time never came to the end of its `await using`. */
export function unmountAll(): void {
  for (const directory of [...mounted].reverse()) spawnSync('umount', ['--lazy', directory]);
  mounted.clear();
}
process.on('exit', unmountAll);

/** `image`: of an earlier disk, to look at; made anew and removed at the end when not given. */
export async function createLoopDisk(options: { mebibytes: number } | { image: string }): Promise<LoopDisk> {
  const folder = 'image' in options ? null : await mkdtemp(join(tmpdir(), 'spyoncino-disk-'));
  const image = 'image' in options ? options.image : join(folder!, 'disk.img');
  let directory: string | null = null;
  const at = (): string => {
    if (directory === null) throw new Error(`${image} is not mounted`);
    return directory;
  };

  if ('mebibytes' in options) {
    await using file = await open(image, 'w');
    await file.truncate(options.mebibytes * 2 ** 20);
    // No blocks are kept for root, who runs the tests; no time is spent on tables that are zeros anyway.
    await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,nodiscard', image]);
  }

  const unmount = async (): Promise<void> => {
    if (directory === null) return;
    if (mounted.delete(directory)) await run('umount', ['--lazy', directory]);
    directory = null;
  };

  return {
    image,
    get directory() {
      return directory;
    },
    async mount(where, mode = 'rw') {
      if (directory !== null) throw new Error(`${image} is mounted at ${directory}`);
      await detached(image);
      await mkdir(where, { recursive: true });
      await run('mount', ['-t', 'ext4', '-o', `loop,${mode},errors=remount-ro`, image, where]);
      directory = where;
      mounted.add(where);
    },
    async remount(mode) {
      await run('mount', ['-o', `remount,${mode}`, at()]);
    },
    async turnReadOnly() {
      const { stdout } = await run('findmnt', ['--noheadings', '--output', 'SOURCE', '--mountpoint', at()]);
      await writeFile(`/sys/fs/ext4/${basename(stdout.trim())}/trigger_fs_error`, 'a test asked for it');
    },
    unmount,
    async freeBytes() {
      const { bavail, bsize } = await statfs(at());
      return bavail * bsize;
    },
    async [Symbol.asyncDispose]() {
      await unmount();
      if (folder !== null) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Mounted again earlier, the file system would be the one that is still in use, with all its errors. */
async function detached(image: string): Promise<void> {
  const inUse = async (): Promise<boolean> => (await run('losetup', ['--associated', image])).stdout !== '';
  while (await inUse()) await delay(50);
}

/** Skips the file's tests where this machine cannot mount. */
export async function requireLoopDisks(): Promise<void> {
  try {
    const place = await mkdtemp(join(tmpdir(), 'spyoncino-mount-'));
    try {
      await using disk = await createLoopDisk({ mebibytes: 8 });
      await disk.mount(place);
      await stat(join(place, 'lost+found'));
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  } catch (error) {
    lack(`loop-mounted disks: ${error instanceof Error ? error.message.trim() : String(error)}`);
  }
}
