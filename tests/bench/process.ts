/** What process trees cost, from /proc (Linux). */
import { readdirSync, readFileSync } from 'node:fs';

/** `USER_HZ` of /proc/<pid>/stat; 100 on every Linux we run on (proc(5), sysconf(3)). */
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly ppid: number;
  /** CPU time of the process and of its children that ended, user and system. */
  readonly cpuMs: number;
}

function statOf(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses and may contain anything: fields count from behind it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { ppid: Number(fields[1]), cpuMs: (ticks * 1000) / TICKS_PER_SECOND };
  } catch {
    return null;
  }
}

/** `roots` and everything that descends from them, now. */
export function treeOf(roots: readonly number[]): readonly number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : null;
    if (stat) parents.set(Number(name), stat.ppid);
  }
  const isOurs = (pid: number | undefined): boolean =>
    pid !== undefined && (roots.includes(pid) || isOurs(parents.get(pid)));
  return [...parents.keys()].filter(isOurs);
}

/** CPU time of the trees since they began. */
export const cpuMsOf = (roots: readonly number[]): number =>
  treeOf(roots).reduce((sum, pid) => sum + (statOf(pid)?.cpuMs ?? 0), 0);

/** CPU time of the threads that live, by their names. */
export function threadCpuMsOf(pids: readonly number[]): ReadonlyMap<string, number> {
  const byName = new Map<string, number>();
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const folder = `/proc/${pid}/task/${thread}`;
      const name = Number(thread) === pid ? 'event loop' : text(`${folder}/comm`);
      const ms = Number(text(`${folder}/schedstat`).split(' ')[0]) / 1e6;
      byName.set(name, (byName.get(name) ?? 0) + ms);
    }
  }
  return byName;
}

/** Empty when the thread has ended. */
function text(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Proportional set size: shared pages count by share. */
export const ownPssBytesOf = (pid: number): number =>
  1024 * field(`/proc/${pid}/smaps_rollup`, /^Pss: +(\d+) kB/m);

/** Resident set size: shared pages count in full. */
export const ownRssBytesOf = (pid: number): number =>
  1024 * field(`/proc/${pid}/status`, /^VmRSS:\s+(\d+) kB/m);

/** Of the trees. */
export const pssBytesOf = (roots: readonly number[]): number =>
  treeOf(roots).reduce((sum, pid) => sum + ownPssBytesOf(pid), 0);

/** What this process, and its children that ended, gave to the kernel to write, and what of it became dirty pages (proc_pid_io(5)). */
export const writtenBytes = (): { writtenBytes: number; dirtiedBytes: number } => ({
  writtenBytes: field('/proc/self/io', /^wchar: (\d+)/m),
  dirtiedBytes: field('/proc/self/io', /^write_bytes: (\d+)/m),
});

const field = (path: string, pattern: RegExp): number => Number(pattern.exec(text(path))?.[1] ?? 0);
