import { CodedError } from './contract/errors.ts';
import type { CameraAnswer, CameraRequest, CameraRequestCommand } from './contract/host.ts';
import type { Clock } from './kernel/clock.ts';

const PATIENCE_MS = 10_000;

/** Asks a camera host for something, and waits for its answer no longer than it lives. */
export class CameraQuestions {
  readonly #clock: Clock;
  readonly #send: (command: CameraRequestCommand) => boolean;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  constructor(clock: Clock, send: (command: CameraRequestCommand) => boolean) {
    this.#clock = clock;
    this.#send = send;
  }

  /** @throws CodedError what the host answers, CAMERA_NOT_RUNNING without one, COMMAND_TIMEOUT when it is stuck */
  async ask(request: CameraRequest): Promise<unknown> {
    const requestId = ++this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(requestId, answer);
    const answered = new AbortController();
    const late = this.#clock.sleep(PATIENCE_MS, answered.signal).then(
      () => {
        throw new CodedError('COMMAND_TIMEOUT');
      },
      () => {},
    );
    try {
      if (!this.#send({ type: 'request', requestId, request })) throw new CodedError('CAMERA_NOT_RUNNING');
      return await Promise.race([answer.promise, late]);
    } finally {
      this.#waiting.delete(requestId);
      answered.abort();
    }
  }

  answer({ requestId, answer }: CameraAnswer): void {
    const waiting = this.#waiting.get(requestId);
    if (answer.ok) waiting?.resolve(answer.value);
    else waiting?.reject(CodedError.revive(answer.error));
  }

  /** The host died: nobody will answer. */
  giveUp(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(new CodedError('CAMERA_NOT_RUNNING'));
  }
}
