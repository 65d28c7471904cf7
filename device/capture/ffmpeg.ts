/** The few words of FFmpeg's API that every file of this room needs. */
import { constants } from 'node:os';
import { FFmpegError, Log } from 'node-av/lib';
import { AV_LOG_QUIET } from 'node-av/constants';

// FFmpeg's own printing goes straight to stderr, with addresses and passwords in it: never. What matters is
// routed to our log by ffmpeg-log.ts.
Log.setLevel(AV_LOG_QUIET);

/** A negative return value of FFmpeg. Faults for people are made of it in faults.ts. */
export class FfmpegFailure extends Error {
  readonly code: number;

  constructor(code: number, doing: string) {
    super(`${doing}: ${FFmpegError.strerror(code)}`);
    this.name = 'FfmpegFailure';
    this.code = code;
  }
}

/** Passes on what is not an error. */
export function check(code: number, doing: string): number {
  if (code < 0) throw new FfmpegFailure(code, doing);
  return code;
}

/** AVERROR(e) is −e for the system's errors (libavutil/error.h). */
export const posixError = (name: keyof typeof constants.errno): number => -constants.errno[name];

/** More input is needed before there is output, or output must be taken before more input. */
export const AVERROR_EAGAIN = posixError('EAGAIN');
