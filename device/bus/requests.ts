import type { Caller } from '../contract/access.ts';
import { CodedError } from '../contract/errors.ts';
import { problemsIn } from '../contract/problems.ts';
import { TOPICS, type Payload, type RequestTopic } from '../contract/topics.ts';
import type { Log } from '../kernel/log.ts';

/** Does what is asked, and answers by itself. What it throws is answered for it. */
export type RequestHandler<P extends RequestTopic> = (payload: Payload<P>, caller: Caller) => unknown;

export interface RequestsOptions {
  readonly answer: (answer: Payload<'dashboard.control.result'>) => void;
  readonly onRefused: (reason: 'request_invalid' | 'request_unheard' | 'requests_waiting') => void;
  readonly log: Log;
}

/** Of one caller, not done yet. */
const MAX_WAITING = 16;

/** What clients ask for, on its way from the wire to whoever does it. Nothing that comes in makes it throw. */
export class Requests {
  readonly #o: RequestsOptions;
  readonly #handlers = new Map<RequestTopic, (payload: never, caller: Caller) => unknown>();
  readonly #waiting = new Map<string, number>();
  #taken = 0;

  constructor(options: RequestsOptions) {
    this.#o = options;
  }

  get taken(): number {
    return this.#taken;
  }

  /** One handler per topic. */
  handle<P extends RequestTopic>(topic: P, handler: RequestHandler<P>): void {
    this.#handlers.set(topic, handler);
  }

  async take(topic: RequestTopic, bytes: Buffer, caller: Caller): Promise<void> {
    this.#taken += 1;
    const json = parseObject(bytes);
    try {
      if (!json) throw this.#refused('request_invalid', 'COMMAND_INVALID', 'it is not a JSON object');
      const { success, data, error } = TOPICS[topic].payload.safeParse(json);
      if (!success) {
        throw this.#refused('request_invalid', 'COMMAND_INVALID', problemsIn(error, 'request'));
      }
      const handler = this.#handlers.get(topic);
      if (!handler) throw this.#refused('request_unheard', 'COMMAND_UNKNOWN', `nobody hears ${topic}`);
      await this.#inTurn(caller, () => handler(data as never, caller));
    } catch (error) {
      const coded = CodedError.from(error, 'COMMAND_FAILED');
      this.#o.log.warn({ err: coded, topic, user: caller.user }, 'a request was refused');
      this.#o.answer({
        request_id: shortText(json?.['request_id']),
        command: shortText(json?.['command']) ?? topic,
        ok: false,
        error: coded.report(),
      });
    }
  }

  async #inTurn({ user }: Caller, work: () => unknown): Promise<void> {
    const waiting = this.#waiting.get(user) ?? 0;
    if (waiting >= MAX_WAITING) throw this.#refused('requests_waiting', 'TOO_MANY_REQUESTS', `of ${user}`);
    this.#waiting.set(user, waiting + 1);
    try {
      await work();
    } finally {
      const left = (this.#waiting.get(user) ?? 1) - 1;
      if (left > 0) this.#waiting.set(user, left);
      else this.#waiting.delete(user);
    }
  }

  #refused(
    reason: Parameters<RequestsOptions['onRefused']>[0],
    ...[code, detail]: ConstructorParameters<typeof CodedError>
  ): CodedError {
    this.#o.onRefused(reason);
    return new CodedError(code, detail);
  }
}

function parseObject(bytes: Buffer): Readonly<Record<string, unknown>> | null {
  try {
    const json: unknown = JSON.parse(bytes.toString());
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? { ...json } : null;
  } catch {
    return null;
  }
}

const shortText = (value: unknown): string | null =>
  typeof value === 'string' && value.length <= 128 ? value : null;
