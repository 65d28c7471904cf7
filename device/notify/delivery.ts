import { CodedError, type ErrorCode } from '../contract/errors.ts';
import type { Notice } from '../contract/notify.ts';

/** What is told, in words and with pictures. */
export interface Message {
  /** Of this message in all its revisions, and in the world. */
  readonly key: string;
  readonly notice: Notice;
  readonly subject: string;
  /** A few plain lines. */
  readonly text: string;
  /** An attempt was interrupted: the receiver may have it already. */
  readonly isRepeated: boolean;
  /** Absolute path of the best still. */
  readonly stillPath: string | null;
  /** Absolute path of the animated picture. */
  readonly previewPath: string | null;
  /** Absolute path of the clip, made now where it is a range; null when there is none. */
  clip(): Promise<string | null>;
}

/** One receiver of messages, as its lane sees it. Rejects with DeliveryError. */
export interface Receiver {
  /** The receiver's name of the message, by which it is edited. */
  send(message: Message, signal: AbortSignal): Promise<string>;
  /** Makes the message what it is to be now; its name from then on. null where what was sent cannot be changed. */
  readonly edit: ((ref: string, message: Message, signal: AbortSignal) => Promise<string>) | null;
  /** Animated pictures are news for it. */
  readonly showsPreviews: boolean;
  /** How long a first message may wait for a picture, as it gets none later. */
  readonly settleMs: number;
  /** Edits of one message come no faster. */
  readonly editEveryMs: number;
}

export interface DeliveryFailure {
  /** This message will never be taken; others may be. */
  readonly isFinal?: boolean;
  /** The request was on its way when it failed. */
  readonly maybeDelivered?: boolean;
  /** The receiver asked to wait. */
  readonly retryAfterMs?: number | null;
}

/** Why a receiver did not take a message. `detail` never holds an address with secrets, nor what was answered. */
export class DeliveryError extends CodedError {
  readonly isFinal: boolean;
  readonly maybeDelivered: boolean;
  readonly retryAfterMs: number | null;

  constructor(code: ErrorCode, detail?: string, failure: DeliveryFailure = {}) {
    super(code, detail);
    this.name = 'DeliveryError';
    this.isFinal = failure.isFinal ?? false;
    this.maybeDelivered = failure.maybeDelivered ?? false;
    this.retryAfterMs = failure.retryAfterMs ?? null;
  }

  static override from(error: unknown): DeliveryError {
    if (error instanceof DeliveryError) return error;
    // Messages of strangers may hold addresses with tokens.
    const name = error instanceof Error ? error.name : 'unknown';
    return new DeliveryError('NOTIFY_FAILED', name, { maybeDelivered: true });
  }
}

const NEVER_LEFT = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN'],
]);
const TLS_CODE = /CERT|TLS|SSL|ISSUER|ALTNAME/;

/** What the system says about a connection, as a failure. `code` is that of the system's error. */
export function networkFailure(code: string | undefined, hadBegun: boolean): DeliveryError {
  const word = code ?? 'connection lost';
  if (code !== undefined && TLS_CODE.test(code)) return new DeliveryError('NOTIFY_TLS', code);
  const maybeDelivered = hadBegun && !(code !== undefined && NEVER_LEFT.has(code));
  return new DeliveryError('NOTIFY_UNREACHABLE', word, { maybeDelivered });
}

/** What an HTTP status says; null: it was taken. */
export function statusFailure(status: number, retryAfterMs: number | null): DeliveryError | null {
  const detail = `status ${status}`;
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) {
    return new DeliveryError('NOTIFY_REFUSED', `${detail}: it points elsewhere, and that is not followed`);
  }
  if (status === 401 || status === 403) return new DeliveryError('NOTIFY_UNAUTHORIZED', detail);
  if (status === 429 || (status === 503 && retryAfterMs !== null)) {
    return new DeliveryError('NOTIFY_THROTTLED', detail, { retryAfterMs });
  }
  if (status === 404 || status === 405 || status === 410) return new DeliveryError('NOTIFY_REFUSED', detail);
  if (status >= 500 || status === 408)
    return new DeliveryError('NOTIFY_FAILED', detail, { maybeDelivered: true });
  return new DeliveryError('NOTIFY_REFUSED', detail, { isFinal: true });
}
