import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bus } from './bus/index.ts';
import type { Payload } from './contract/topics.ts';
import { CodedError } from './contract/errors.ts';
import { gateReasonsOf } from './gate/index.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import {
  findHome,
  Rauc,
  Updater,
  type RaucStatus,
  type UpdateTarget,
  type UpdateView,
} from './update/index.ts';

export interface UpdateDeskOptions {
  readonly stateDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly bus: Pick<Bus, 'publish'>;
  readonly defaultSource: () => string | null;
  readonly recording: () => string | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** A unit of the image watches this file, and restarts the box. */
const REBOOT_WANTED = 'reboot-wanted';
const STICK_FOLDERS = ['/run/media', '/media'];
/** Written by the image's initial RAM disk, emptied when a slot is activated. */
const BOOT_ATTEMPTS = '/data/system/attempts';

/** Joins the updater with the bus, the health gate's reports, and what restarts the box. */
export async function openUpdater(o: UpdateDeskOptions): Promise<Updater> {
  const { clock, defaultSource, env, log, recording, stateDir } = o;
  return new Updater({
    home: await findHome(env),
    rauc: new Rauc({ env }),
    folder: join(stateDir, 'update'),
    stickFolders: STICK_FOLDERS,
    defaultSource,
    recording,
    gateReasons: (version) => gateReasonsOf(stateDir, version),
    attempts: () => readFile(BOOT_ATTEMPTS, 'utf8').catch(() => ''),
    restartBox: () => askForRestart(env['RUNTIME_DIRECTORY'] ?? '/run/spyoncino'),
    onChange: (view) => o.bus.publish('status.update', viewPayload(view)),
    bootId: await bootId(),
    clock,
    log,
  });
}

export const viewPayload = (view: UpdateView): Payload<'status.update'> => ({
  state: view.state,
  version: view.version,
  target: view.target && targetPayload(view.target),
  received_bytes: view.receivedBytes,
  progress: view.progress,
  error: view.error,
  last: view.last && {
    version: view.last.version,
    installed_ts: view.last.installedUtcMs,
    outcome: view.last.outcome,
    reasons: [...view.last.reasons],
  },
});

export const targetPayload = ({ sizeBytes, source, version }: UpdateTarget) => ({
  version,
  source,
  size_bytes: sizeBytes,
});

export const slotsPayload = (status: RaucStatus | null) =>
  status && {
    compatible: status.compatible,
    booted: status.booted,
    slots: status.slots.map(({ name, bootName, bootStatus, state, version }) => ({
      name,
      boot_name: bootName,
      state,
      boot_status: bootStatus,
      version,
    })),
  };

async function askForRestart(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, REBOOT_WANTED), '');
  } catch (error) {
    throw new CodedError('UPDATE_FAILED', 'it is installed, but the box cannot be asked to restart', {
      cause: error,
    });
  }
}

const bootId = async (): Promise<string> =>
  (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim();
