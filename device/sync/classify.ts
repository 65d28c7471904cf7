import { CodedError, type ErrorCode } from '../contract/errors.ts';

/** The server answered with a status that tells of its own state, not of the request. */
export class ServerTrouble extends Error {
  override readonly name = 'ServerTrouble';
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** No byte went either way for too long. */
export class Silence extends Error {
  override readonly name = 'Silence';
}

/** By the codes of S3 (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html) and of MinIO. */
const BY_S3_CODE: Readonly<Record<string, ErrorCode>> = {
  InvalidAccessKeyId: 'S3_KEY_REJECTED',
  SignatureDoesNotMatch: 'S3_KEY_REJECTED',
  InvalidToken: 'S3_KEY_REJECTED',
  ExpiredToken: 'S3_KEY_REJECTED',
  InvalidSecurity: 'S3_KEY_REJECTED',
  AccessDenied: 'S3_FORBIDDEN',
  AllAccessDisabled: 'S3_FORBIDDEN',
  MethodNotAllowed: 'S3_FORBIDDEN',
  NoSuchBucket: 'S3_BUCKET_MISSING',
  AuthorizationHeaderMalformed: 'S3_REGION_WRONG',
  PermanentRedirect: 'S3_REGION_WRONG',
  MovedPermanently: 'S3_REGION_WRONG',
  TemporaryRedirect: 'S3_REGION_WRONG',
  RequestTimeTooSkewed: 'S3_CLOCK_SKEW',
  RequestExpired: 'S3_CLOCK_SKEW',
  SlowDown: 'S3_SLOW_DOWN',
  SlowDownRead: 'S3_SLOW_DOWN',
  SlowDownWrite: 'S3_SLOW_DOWN',
  TooManyRequests: 'S3_SLOW_DOWN',
  RequestLimitExceeded: 'S3_SLOW_DOWN',
  ServiceUnavailable: 'S3_UNAVAILABLE',
  InternalError: 'S3_UNAVAILABLE',
  XMinioServerNotInitialized: 'S3_UNAVAILABLE',
  RequestTimeout: 'S3_INTERRUPTED',
  IncompleteBody: 'S3_INTERRUPTED',
  QuotaExceeded: 'S3_FULL',
  XMinioStorageFull: 'S3_FULL',
  XMinioAdminBucketQuotaExceeded: 'S3_FULL',
  BadDigest: 'S3_CORRUPTED',
  InvalidDigest: 'S3_CORRUPTED',
  XAmzContentSHA256Mismatch: 'S3_CORRUPTED',
  XAmzContentChecksumMismatch: 'S3_CORRUPTED',
  InvalidPart: 'S3_CORRUPTED',
  NoSuchUpload: 'S3_CORRUPTED',
};

/** Of a connection that never came to be. */
const UNREACHABLE = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN'],
  'ETIMEDOUT',
]);
/** Of one that broke. */
const INTERRUPTED = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNABORTED']);
const TLS =
  /^(ERR_TLS_|ERR_SSL_|EPROTO$|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET|VERIFY)_|HOSTNAME_MISMATCH)/;

/** What a person is told of whatever went wrong between here and the server. */
export function classify(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const { code = '', message = String(error) } = error as { code?: unknown; message?: string };
  const told = (ours: ErrorCode, detail = message): CodedError =>
    new CodedError(ours, detail, { cause: error });
  if (error instanceof Silence) return told('S3_INTERRUPTED', 'no answer');
  if (error instanceof ServerTrouble) {
    const known = BY_S3_CODE[error.code];
    return told(known ?? byStatus(error.status), `${error.status} ${error.code}`.trim());
  }
  if (typeof code !== 'string') return told('S3_FAILED');
  const known = BY_S3_CODE[code];
  if (known) return told(known, `${code}: ${message}`);
  if (UNREACHABLE.has(code)) return told('S3_UNREACHABLE', code);
  if (INTERRUPTED.has(code)) return told('S3_INTERRUPTED', code);
  if (TLS.test(code)) return told('S3_TLS_FAILED', code);
  // An answer that was cut off is no XML any more.
  if (/hang up|aborted|premature|unexpected end|InvalidXML|Missing tag/i.test(message)) {
    return told('S3_INTERRUPTED');
  }
  return told('S3_FAILED', code === '' ? message : `${code}: ${message}`);
}

function byStatus(status: number): ErrorCode {
  if (status === 429) return 'S3_SLOW_DOWN';
  if (status === 408) return 'S3_INTERRUPTED';
  if (status === 507) return 'S3_FULL';
  return 'S3_UNAVAILABLE';
}

/** The trouble is this object's alone: others can be sent meanwhile. */
export const isOfObject = ({ code }: CodedError): boolean => OF_OBJECT.has(code);

const OF_OBJECT = new Set<ErrorCode>([
  'S3_CORRUPTED',
  'S3_FAILED',
  'FOOTAGE_ALTERED',
  'FOOTAGE_NOT_FOUND',
  'DISK_READ_FAILED',
  'DISK_WRITE_FAILED',
]);

export const isCode = (error: unknown, ...codes: readonly string[]): boolean =>
  codes.includes(String((error as { code?: unknown }).code));
