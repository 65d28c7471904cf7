import { execFile } from 'node:child_process';
import { readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { SourceSettings } from './contract/settings.ts';
import type { Launcher } from './kernel/child.ts';
import type { Log } from './kernel/log.ts';

const NETWORK = '/proc/self/ns/net';
const PROBE_TIMEOUT_MS = 5000;

/**
 * How a process is started that gets no network: in a network namespace of its own, in which even loopback is down. Sockets that are files
 * go on working, and so do users and groups, as far as the kernel asks for them. Null where this machine does not let us
 * (containers, mostly), which is logged.
 */
export async function findOffline(log: Log): Promise<Launcher | null> {
  // Root needs no user namespace, in which it would be root over no files but its own.
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-current-user'];
  const launcher: Launcher = ['unshare', ...user, '--net', '--'];
  try {
    const [program, ...args] = launcher;
    const { stdout } = await promisify(execFile)(program, [...args, 'readlink', NETWORK], {
      timeout: PROBE_TIMEOUT_MS,
    });
    if (stdout.trim() === (await readlink(NETWORK))) throw new Error('the network is still there');
    return launcher;
  } catch (error) {
    log.info(
      { err: error },
      'cameras of this machine have the network, too: it cannot be taken from them here',
    );
    return null;
  }
}

/** Whether a camera is somewhere in the network; all others are read without it. */
export const needsNetwork = ({ kind }: SourceSettings): boolean => kind === 'rtsp';
