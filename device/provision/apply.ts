import { chown, lstat, mkdir, open, readFile, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import { makeDirectoryDurable, replaceFile, syncDirectory } from '../kernel/durable-file.ts';
import { filesOf, type PlannedFile } from './files.ts';
import { FILE_NAMES, MAX_FILE_BYTES, readProvision, type Provision, type ProvisionPlan } from './plan.ts';

export interface ApplyOptions {
  /** The boot partition. */
  readonly from: string;
  /** The system that is set up; `/`, or that of a test. */
  readonly root: string;
  /** Of the agent; null: below the root. Files in it belong to whom it belongs. */
  readonly configDir: string | null;
  /** Throws what is wrong with a first configuration, as texts of config.yaml and secrets.yaml. */
  readonly checkConfig: (config: string, secrets: string) => Promise<void>;
}

export type Applied =
  | {
      readonly outcome: 'applied' | 'unchanged';
      readonly provision: Provision;
      readonly wrote: readonly string[];
    }
  | { readonly outcome: 'refused'; readonly provision: Provision };

/** Written last: what it names was applied whole. */
const MARKER = 'var/lib/spyoncino/first-boot.json';

/**
 * Applies what the boot partition asks for. Each file is replaced atomically and the marker comes last, so that a power cut
 * leaves it to the next start, which does the same again. The same settings are applied once: what somebody changes later stays;
 * other settings are applied when they are put there.
 *
 * @throws CodedError PROVISION_FAILED
 */
export async function applyProvision({ checkConfig, configDir, from, root }: ApplyOptions): Promise<Applied> {
  try {
    const bytes = await readFiles(from);
    const read = readProvision(bytes);
    const provision = {
      ...read,
      problems: [...read.problems, ...(await problemsOf(read.plan, checkConfig))],
    };
    if (provision.problems.length > 0) return { outcome: 'refused', provision };
    const digest = digestOf(bytes);
    if ((await readMarker(root)) === digest) return { outcome: 'unchanged', provision, wrote: [] };
    // A root that holds nothing but what is written here has none of its own.
    const machineId = await readFile(join(root, 'etc/machine-id'), 'utf8').catch(() =>
      readFile('/etc/machine-id', 'utf8').catch(() => ''),
    );
    const folders = { system: root, config: configDir ?? join(root, 'etc/spyoncino') };
    const files = filesOf(provision.plan, machineId);
    for (const file of files) await write(folders, file);
    if (provision.plan.timeZone !== null) await setTimeZone(root, provision.plan.timeZone);
    const content = `${JSON.stringify({ schema: 1, digest })}\n`;
    await write(folders, { place: 'system', path: MARKER, mode: 0o644, content });
    return {
      outcome: 'applied',
      provision,
      wrote: files.map(({ path, place }) => join(folders[place], path)),
    };
  } catch (error) {
    throw CodedError.from(error, 'PROVISION_FAILED');
  }
}

async function problemsOf(
  plan: ProvisionPlan,
  checkConfig: ApplyOptions['checkConfig'],
): Promise<readonly ErrorReport[]> {
  if (plan.config === null && plan.secrets === null) return [];
  try {
    await checkConfig(stringify(plan.config ?? {}), stringify(plan.secrets ?? {}));
    return [];
  } catch (error) {
    return [CodedError.from(error, 'PROVISION_INVALID').report()];
  }
}

async function readFiles(from: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of FILE_NAMES) {
    const path = join(from, name);
    const found = await lstat(path).catch(() => null);
    if (!found?.isFile()) continue;
    await using file = await open(path, 'r');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_FILE_BYTES + 1));
    files.set(name, buffer.subarray(0, bytesRead));
  }
  return files;
}

function digestOf(files: ReadonlyMap<string, Uint8Array>): string {
  const hash = createHash('sha256');
  for (const [name, bytes] of files) hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  return hash.digest('hex');
}

async function readMarker(root: string): Promise<string | null> {
  try {
    const { digest } = JSON.parse(await readFile(join(root, MARKER), 'utf8')) as { digest?: unknown };
    return typeof digest === 'string' ? digest : null;
  } catch {
    return null; // the first start, or one that was cut short
  }
}

async function write(
  folders: Readonly<Record<PlannedFile['place'], string>>,
  { content, mode, path, place }: PlannedFile,
): Promise<void> {
  const target = join(folders[place], path);
  await makeDirectoryDurable(dirname(target));
  await replaceFile(target, content, mode);
  if (place === 'system') return;
  // The agent reads it, and is not root as we are.
  const { gid, uid } = await stat(folders.config);
  await chown(target, uid, gid);
}

async function setTimeZone(root: string, timeZone: string): Promise<void> {
  const path = join(root, 'etc/localtime');
  const target = `/usr/share/zoneinfo/${timeZone}`;
  if ((await readlink(path).catch(() => null)) === target) return;
  const temporary = `${path}.tmp`;
  await rm(temporary, { force: true });
  await mkdir(dirname(path), { recursive: true });
  await symlink(target, temporary);
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}
