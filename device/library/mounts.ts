import { readFile, realpath } from 'node:fs/promises';

/**
 * Whether the kernel has turned the file system at `path` read-only because of errors. Some file systems do not say
 * so to access(2) then, only in their mount options.
 */
export async function isTurnedReadOnly(path: string): Promise<boolean> {
  try {
    return hasTurnedReadOnly(await readFile('/proc/self/mountinfo', 'utf8'), await realpath(path));
  } catch {
    return false;
  }
}

/** `mountinfo` as in proc_pid_mountinfo(5), `path` without symbolic links. Pure. */
export function hasTurnedReadOnly(mountinfo: string, path: string): boolean {
  let longest = '';
  let options: readonly string[] = [];
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    const point = unescape(fields[4] ?? '');
    const isAbove = path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`);
    // Of mounts at the same place, the last is the one that is seen.
    if (point === '' || !isAbove || point.length < longest.length) continue;
    longest = point;
    options = (fields.at(-1) ?? '').split(',');
  }
  return options.includes('ro') || options.includes('emergency_ro');
}

/** Blanks and the like are written as octal numbers. */
const unescape = (text: string): string =>
  text.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
