import { constants } from 'node:os';
import fc from 'fast-check';
import {
  AVERROR_EXIT,
  AVERROR_HTTP_NOT_FOUND,
  AVERROR_HTTP_UNAUTHORIZED,
  AVERROR_INVALIDDATA,
} from 'node-av/constants';
import { expect, test } from 'vitest';
import { faultOf, type Situation } from '../../../device/capture/faults.ts';
import { FfmpegFailure } from '../../../device/capture/ffmpeg.ts';
import { rtspUrl } from '../../../device/capture/sources.ts';
import { CodedError } from '../../../device/contract/errors.ts';

const { ECONNREFUSED, EHOSTUNREACH, ENODEV, EBUSY, EACCES, ENOENT, ECONNRESET, ETIMEDOUT } = constants.errno;

test.each<[Situation['kind'], Situation['phase'], number, string]>([
  ['rtsp', 'open', AVERROR_HTTP_UNAUTHORIZED, 'CAMERA_UNAUTHORIZED'],
  ['rtsp', 'open', AVERROR_HTTP_NOT_FOUND, 'CAMERA_STREAM_NOT_FOUND'],
  ['rtsp', 'open', -ECONNREFUSED, 'CAMERA_REFUSED'],
  ['rtsp', 'open', -EHOSTUNREACH, 'CAMERA_UNREACHABLE'],
  ['rtsp', 'open', -ETIMEDOUT, 'CAMERA_UNREACHABLE'],
  ['rtsp', 'open', AVERROR_EXIT, 'CAMERA_UNREACHABLE'],
  ['rtsp', 'open', AVERROR_INVALIDDATA, 'CAMERA_INPUT_INVALID'],
  ['rtsp', 'read', -ETIMEDOUT, 'CAMERA_STALLED'],
  ['rtsp', 'read', AVERROR_EXIT, 'CAMERA_STALLED'],
  ['rtsp', 'read', -ECONNRESET, 'CAMERA_ENDED'],
  ['v4l2', 'read', -ENODEV, 'CAMERA_DEVICE_MISSING'],
  ['v4l2', 'open', -EBUSY, 'CAMERA_DEVICE_BUSY'],
  ['v4l2', 'open', -EACCES, 'CAMERA_DEVICE_DENIED'],
  ['file', 'open', -ENOENT, 'CAMERA_FILE_MISSING'],
  ['file', 'open', AVERROR_INVALIDDATA, 'CAMERA_INPUT_INVALID'],
])('%s, while it tries to %s, %i → %s', (kind, phase, code, expected) => {
  const fault = faultOf(new FfmpegFailure(code, 'trying'), { kind, phase, timedOut: false });
  expect(fault.code).toBe(expected);
});

test.each([
  [-ECONNREFUSED, 'CAMERA_REFUSED'],
  [-EHOSTUNREACH, 'CAMERA_UNREACHABLE'],
  [-ECONNRESET, 'CAMERA_ENDED'],
  [-EBUSY, 'CAMERA_FAILED'],
])('of a socket, %i → %s, also when all addresses of a name fail', (errno, expected) => {
  const error = Object.assign(new Error('connect'), { errno });
  const situation = { kind: 'rtsp', phase: 'open', timedOut: false } as const;
  expect(faultOf(error, situation).code).toBe(expected);
  expect(faultOf(new AggregateError([error, error]), situation).code).toBe(expected);
});

test('a fault that is coded already keeps its code, one that is unknown says so', () => {
  const situation = { kind: 'rtsp', phase: 'open', timedOut: false } as const;
  const coded = new CodedError('CAMERA_CODEC_UNSUPPORTED', 'vp9');
  expect(faultOf(coded, situation)).toBe(coded);
  expect(faultOf(new Error('what?'), situation).code).toBe('CAMERA_FAILED');
});

test('any user name and password survive in the address, and leave its other parts alone', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', minLength: 1 }),
      fc.string({ unit: 'grapheme', minLength: 1 }),
      (user, password) => {
        const url = rtspUrl('rtsp://camera:8554/live?channel=1', user, password);
        expect(decodeURIComponent(url.username)).toBe(user);
        expect(decodeURIComponent(url.password)).toBe(password);
        expect(url.host + url.pathname + url.search).toBe('camera:8554/live?channel=1');
      },
    ),
  );
});

test.each(['', 'camera', 'http://camera/', 'rtsp://', 'rtsp:///live', 'rtsp://joe:s3cret@camera/live'])(
  'refuses the address %j without repeating it',
  (address) => {
    const attempt = (): unknown => rtspUrl(address, null, null);
    expect(attempt).toThrow(expect.objectContaining({ code: 'CAMERA_URL_INVALID' }));
    expect(attempt).not.toThrow('s3cret');
  },
);
