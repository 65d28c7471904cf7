import { CodedError } from '../contract/errors.ts';
import { DeliveryError, type Receiver } from './delivery.ts';

/**
 * Runs an output, or leaves one that runs as it is. Rejects with a CodedError; `restMs`, where it has one, is how long
 * the output has to rest.
 */
export type Pulse = (output: string) => Promise<void>;

/** A siren or light. It says that something happens now, so it is silent about what is told in a digest. */
export const gpioReceiver = (output: string, pulse: Pulse): Receiver => ({
  async send({ notice }) {
    const { content, noticeId } = notice;
    const isTest = content.kind === 'digest' && content.incidents === 0;
    if (content.kind === 'incident' || isTest) await pulse(output).catch(refuse);
    return noticeId;
  },
  edit: null,
  showsPreviews: false,
  settleMs: 0,
  editEveryMs: 0,
});

function refuse(error: unknown): never {
  const { code, message } = CodedError.from(error, 'GPIO_FAILED');
  const restMs = (error as { readonly restMs?: number }).restMs;
  const failure = new DeliveryError(code, undefined, { retryAfterMs: restMs ?? null });
  failure.message = message;
  throw failure;
}
