import { expect, test } from 'vitest';
import { CodedError } from '../../../device/contract/errors.ts';
import { classify, ServerTrouble, Silence } from '../../../device/sync/classify.ts';

const failing = (code: string, message = 'x'): Error => Object.assign(new Error(message), { code });

test.each([
  [failing('ENOTFOUND'), 'S3_UNREACHABLE'],
  [failing('ECONNREFUSED'), 'S3_UNREACHABLE'],
  [failing('ECONNRESET', 'socket hang up'), 'S3_INTERRUPTED'],
  [new Silence('no answer'), 'S3_INTERRUPTED'],
  [failing('CERT_HAS_EXPIRED'), 'S3_TLS_FAILED'],
  [failing('DEPTH_ZERO_SELF_SIGNED_CERT'), 'S3_TLS_FAILED'],
  [failing('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'S3_TLS_FAILED'],
  [failing('ERR_TLS_CERT_ALTNAME_INVALID'), 'S3_TLS_FAILED'],
  [failing('InvalidAccessKeyId'), 'S3_KEY_REJECTED'],
  [failing('SignatureDoesNotMatch'), 'S3_KEY_REJECTED'],
  [failing('AccessDenied'), 'S3_FORBIDDEN'],
  [failing('NoSuchBucket'), 'S3_BUCKET_MISSING'],
  [failing('RequestTimeTooSkewed'), 'S3_CLOCK_SKEW'],
  [failing('XAmzContentSHA256Mismatch'), 'S3_CORRUPTED'],
  [failing('NoSuchUpload'), 'S3_CORRUPTED'],
  [failing('EntityTooLarge'), 'S3_FAILED'],
  [new ServerTrouble(503, 'SlowDown', ''), 'S3_SLOW_DOWN'],
  [new ServerTrouble(429, '', ''), 'S3_SLOW_DOWN'],
  [new ServerTrouble(503, '', ''), 'S3_UNAVAILABLE'],
  [new ServerTrouble(502, '<html>', ''), 'S3_UNAVAILABLE'],
  [new ServerTrouble(507, '', ''), 'S3_FULL'],
  [new CodedError('MEDIA_FOREIGN'), 'MEDIA_FOREIGN'],
  ['nonsense', 'S3_FAILED'],
] as const)('%s is %s', (error, code) => {
  expect(classify(error).code).toBe(code);
});
