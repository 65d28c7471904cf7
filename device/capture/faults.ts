import {
  AVERROR_DEMUXER_NOT_FOUND,
  AVERROR_EOF,
  AVERROR_EXIT,
  AVERROR_HTTP_FORBIDDEN,
  AVERROR_HTTP_NOT_FOUND,
  AVERROR_HTTP_UNAUTHORIZED,
  AVERROR_INVALIDDATA,
  AVERROR_PROTOCOL_NOT_FOUND,
} from 'node-av/constants';
import { CodedError, type ErrorCode } from '../contract/errors.ts';
import type { SourceSettings } from '../contract/settings.ts';
import { redactUrls } from '../kernel/log.ts';
import { FfmpegFailure, posixError as posix } from './ffmpeg.ts';

/** What was going on when FFmpeg failed; the same number means different things to the operator. */
export interface Situation {
  readonly kind: SourceSettings['kind'];
  readonly phase: 'open' | 'read';
  /** We interrupted it ourselves because nothing came for too long. */
  readonly timedOut: boolean;
}

const NETWORK: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [AVERROR_HTTP_UNAUTHORIZED, 'CAMERA_UNAUTHORIZED'],
  [AVERROR_HTTP_FORBIDDEN, 'CAMERA_UNAUTHORIZED'],
  [AVERROR_HTTP_NOT_FOUND, 'CAMERA_STREAM_NOT_FOUND'],
  [AVERROR_PROTOCOL_NOT_FOUND, 'CAMERA_URL_INVALID'],
  [AVERROR_INVALIDDATA, 'CAMERA_INPUT_INVALID'],
  [AVERROR_DEMUXER_NOT_FOUND, 'CAMERA_INPUT_INVALID'],
  [AVERROR_EOF, 'CAMERA_ENDED'],
  [posix('ECONNRESET'), 'CAMERA_ENDED'],
  [posix('EPIPE'), 'CAMERA_ENDED'],
  [posix('ECONNREFUSED'), 'CAMERA_REFUSED'],
  [posix('EHOSTUNREACH'), 'CAMERA_UNREACHABLE'],
  [posix('ENETUNREACH'), 'CAMERA_UNREACHABLE'],
  [posix('ENETDOWN'), 'CAMERA_UNREACHABLE'],
  [posix('ETIMEDOUT'), 'CAMERA_UNREACHABLE'],
]);

const DEVICE: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [posix('ENOENT'), 'CAMERA_DEVICE_MISSING'],
  [posix('ENODEV'), 'CAMERA_DEVICE_MISSING'],
  [posix('ENXIO'), 'CAMERA_DEVICE_MISSING'],
  // What a driver answers between unplugging and the end of its device node.
  [posix('EIO'), 'CAMERA_DEVICE_MISSING'],
  [posix('EBUSY'), 'CAMERA_DEVICE_BUSY'],
  [posix('EACCES'), 'CAMERA_DEVICE_DENIED'],
  [posix('EPERM'), 'CAMERA_DEVICE_DENIED'],
  [AVERROR_EOF, 'CAMERA_ENDED'],
  [AVERROR_INVALIDDATA, 'CAMERA_INPUT_INVALID'],
]);

const FILE: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [posix('ENOENT'), 'CAMERA_FILE_MISSING'],
  [posix('EACCES'), 'CAMERA_FILE_MISSING'],
  [posix('EISDIR'), 'CAMERA_FILE_MISSING'],
  [AVERROR_INVALIDDATA, 'CAMERA_INPUT_INVALID'],
  [AVERROR_DEMUXER_NOT_FOUND, 'CAMERA_INPUT_INVALID'],
  [AVERROR_EOF, 'CAMERA_INPUT_INVALID'],
]);

const TABLES = { rtsp: NETWORK, v4l2: DEVICE, file: FILE, pattern: FILE } as const;

/** The fault in words a person can act on, without credentials. Coded errors pass as they are. */
export function faultOf(error: unknown, { kind, phase, timedOut }: Situation): CodedError {
  if (error instanceof CodedError) return error;
  if (!(error instanceof FfmpegFailure)) return systemFault(error, kind);
  const silent = timedOut || error.code === posix('ETIMEDOUT') || error.code === AVERROR_EXIT;
  if (silent && phase === 'read') return new CodedError('CAMERA_STALLED');
  if (silent && kind === 'rtsp') return new CodedError('CAMERA_UNREACHABLE', 'no answer in time');
  const code = TABLES[kind].get(error.code) ?? 'CAMERA_FAILED';
  return new CodedError(code, redactUrls(error.message), { cause: error });
}

/** Of a socket: Node's numbers of the system's errors are those of FFmpeg. Several addresses give several errors. */
function systemFault(error: unknown, kind: Situation['kind']): CodedError {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const { errno, message } = first instanceof Error ? (first as NodeJS.ErrnoException) : {};
  const code = errno === undefined ? undefined : TABLES[kind].get(errno);
  return code ? new CodedError(code, message, { cause: error }) : CodedError.from(error, 'CAMERA_FAILED');
}
