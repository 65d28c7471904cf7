import { CodedError } from '../contract/errors.ts';

/** A line on a terminal that says how far it is; nothing elsewhere. */
export interface Progress {
  show(text: string): void;
  clear(): void;
}

/** Often enough to see that it moves. */
const INTERVAL_MS = 100;

export function showProgress(): Progress {
  if (!process.stderr.isTTY) return { show: () => {}, clear: () => {} };
  let shownMs = -Infinity;
  return {
    show(text) {
      const nowMs = performance.now();
      if (nowMs - shownMs < INTERVAL_MS) return;
      shownMs = nowMs;
      process.stderr.write(`\r\u001b[K${text}`);
    },
    clear: () => process.stderr.write('\r\u001b[K'),
  };
}

/**
 * Runs `work` until it ends or Ctrl-C stops it: then what was begun is undone, and the exit code is 130. What disk
 * and index refuse meanwhile are errors of ours.
 */
export async function untilInterrupted(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  try {
    return await work(stop.signal);
  } catch (error) {
    if (error instanceof CodedError) throw error;
    if (stop.signal.aborted) return 130;
    if (error instanceof Error && 'syscall' in error) throw CodedError.from(error, 'DISK_READ_FAILED');
    if (error instanceof Error && 'errcode' in error) throw CodedError.from(error, 'INDEX_UNAVAILABLE');
    throw error;
  } finally {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
  }
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export const isoTime = (utcMs: number): string => new Date(utcMs).toISOString();
