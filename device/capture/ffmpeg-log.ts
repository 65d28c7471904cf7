import { Log as FfmpegLog } from 'node-av/lib';
import { AV_LOG_INFO, AV_LOG_WARNING, type AVLogLevel } from 'node-av/constants';
import type { Clock } from '../kernel/clock.ts';
import { redactUrls, type Log } from '../kernel/log.ts';

/** A broken stream makes a message per macroblock; more than this per window helps nobody. */
const MAX_PER_WINDOW = 20;
const WINDOW_MS = 10_000;

type Listener = (level: AVLogLevel, message: string) => void;

// FFmpeg has one callback per process, so this must be one list per process as well.
const listeners = new Set<Listener>();

/** Hears what FFmpeg says (level info and graver) until disposed. Messages come a turn of the event loop late. */
export function listenToFfmpeg(listener: Listener): Disposable {
  if (listeners.size === 0) {
    FfmpegLog.setCallback((level, message) => listeners.forEach((each) => each(level, message)), {
      maxLevel: AV_LOG_INFO,
    });
  }
  listeners.add(listener);
  return {
    [Symbol.dispose]() {
      if (listeners.delete(listener) && listeners.size === 0) FfmpegLog.resetCallback();
    },
  };
}

/** FFmpeg's warnings and errors as debug lines of our log (what they mean for people is in the facts). */
export function routeFfmpegLog(log: Log, clock: Clock): Disposable {
  let windowStartMs = -Infinity;
  let inWindow = 0;
  return listenToFfmpeg((level, message) => {
    if (level > AV_LOG_WARNING || message.trim() === '') return;
    const nowMs = clock.monotonicMs();
    if (nowMs - windowStartMs > WINDOW_MS) {
      if (inWindow > MAX_PER_WINDOW) log.debug({ suppressed: inWindow - MAX_PER_WINDOW }, 'FFmpeg said more');
      windowStartMs = nowMs;
      inWindow = 0;
    }
    if (++inWindow <= MAX_PER_WINDOW) log.debug({ ffmpeg: redactUrls(message.trim()) }, 'FFmpeg says');
  });
}
