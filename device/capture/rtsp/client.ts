import { connect, type Socket } from 'node:net';
import { CodedError } from '../../contract/errors.ts';
import { Authorizer, chooseChallenge, type Credentials } from './auth.ts';
import { formatRequest, header, type Message } from './message.ts';
import { Wire } from './wire.ts';

/** The kernel hands over what has come in one read, up to this much; nothing is kept in it. */
const READ_BYTES = 65_536;
/** A camera that takes nothing from us any more is not waited for. */
const MAX_UNSENT_BYTES = 262_144;
/** A refusal of a password, and of a nonce that has grown old meanwhile. */
const MAX_ATTEMPTS = 3;

export interface ClientOptions {
  readonly host: string;
  readonly port: number;
  readonly credentials: Credentials | null;
  /** How long an answer may take. */
  readonly answerMs: number;
  readonly userAgent: string;
}

export interface ClientListener {
  /** `payload` is valid during the call only. */
  frame(channel: number, payload: Buffer): void;
  /** After what one read gave; false: nothing more is read until `resume`. */
  pieceDone(): boolean;
  /** Once; null: the camera closed the connection. */
  closed(error: Error | null): void;
}

interface Waiting {
  readonly sequence: number;
  readonly resolve: (message: Message) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** One RTSP connection: requests and their answers, with what the camera sends between them. */
export class RtspClient {
  readonly #o: ClientOptions;
  readonly #listener: ClientListener;
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #sequence = 0;
  #authorizer: Authorizer | null = null;
  #failure: Error | null = null;
  #closed = false;

  private constructor(options: ClientOptions, listener: ClientListener) {
    this.#o = options;
    this.#listener = listener;
    const wire = new Wire({
      frame: (channel, payload) => listener.frame(channel, payload),
      message: (message) => this.#hear(message),
    });
    this.#socket = connect({
      host: options.host,
      port: options.port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BYTES),
        callback: (byteCount, buffer) => {
          try {
            wire.push(Buffer.from(buffer.buffer, buffer.byteOffset, byteCount));
          } catch (error) {
            this.destroy(error as Error);
          }
          return !this.#closed && listener.pieceDone();
        },
      },
    });
    this.#socket.on('error', (error) => (this.#failure ??= error));
    // What was not answered by then never will be.
    this.#socket.on('end', () => this.#finish());
    this.#socket.on('close', () => this.#finish());
  }

  /** Rejects with a CodedError or the system's error; also when `signal` aborts meanwhile. */
  static async connect(
    options: ClientOptions,
    listener: ClientListener,
    signal: AbortSignal,
  ): Promise<RtspClient> {
    const client = new RtspClient(options, listener);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => client.destroy(noAnswer()), options.answerMs);
    const abort = (): void => client.destroy(null);
    signal.addEventListener('abort', abort, { once: true });
    client.#socket.once('connect', resolve);
    client.#socket.once('close', () => reject(client.#failure ?? new CodedError('CAMERA_ENDED')));
    if (signal.aborted) abort();
    try {
      await promise;
      return client;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  get peer(): { readonly address: string; readonly family: string } {
    return { address: this.#socket.remoteAddress ?? '', family: this.#socket.remoteFamily ?? 'IPv4' };
  }

  /**
   * The answer, whatever its status, after the camera's question for the password. Rejects as `connect`. `patient`:
   * without an answer the connection stays.
   */
  async request(
    method: string,
    uri: string,
    fields: Readonly<Record<string, string>> = {},
    patient = false,
  ): Promise<Message> {
    for (let attempt = 1; ; attempt++) {
      const answered = this.#authorizer;
      const answer = await this.#ask(method, uri, fields, patient);
      if (answer.status !== 401 || attempt === MAX_ATTEMPTS || !this.#accept(answer, answered)) return answer;
    }
  }

  /** Without waiting for the answer. */
  tell(method: string, uri: string, fields: Readonly<Record<string, string>>): void {
    if (!this.#closed) this.#socket.write(this.#format(method, uri, fields, ++this.#sequence));
  }

  sendFrame(channel: number, payload: Buffer): void {
    if (this.#closed) return;
    const head = Buffer.alloc(4);
    head.write('$');
    head.writeUInt8(channel, 1);
    head.writeUInt16BE(payload.length, 2);
    this.#write(Buffer.concat([head, payload]));
  }

  resume(): void {
    this.#socket.resume();
  }

  /** What was sent still leaves. */
  end(): void {
    this.#socket.destroySoon();
  }

  destroy(error: Error | null): void {
    this.#failure ??= error;
    this.#socket.destroy();
    this.#finish();
  }

  #ask(
    method: string,
    uri: string,
    fields: Readonly<Record<string, string>>,
    patient: boolean,
  ): Promise<Message> {
    if (this.#closed) return Promise.reject(this.#failure ?? new CodedError('CAMERA_ENDED'));
    const sequence = ++this.#sequence;
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const timer = setTimeout(() => {
      if (!patient) this.destroy(noAnswer());
      else this.#take(sequence)?.reject(noAnswer());
    }, this.#o.answerMs);
    this.#waiting.push({ sequence, resolve, reject, timer });
    this.#write(this.#format(method, uri, fields, sequence));
    return promise;
  }

  /** `sequence` null: whoever waits the longest. */
  #take(sequence: number | null): Waiting | null {
    const index = sequence === null ? 0 : this.#waiting.findIndex((waiting) => waiting.sequence === sequence);
    return index < 0 ? null : (this.#waiting.splice(index, 1)[0] ?? null);
  }

  #format(method: string, uri: string, fields: Readonly<Record<string, string>>, sequence: number): string {
    return formatRequest(method, uri, {
      CSeq: String(sequence),
      'User-Agent': this.#o.userAgent,
      ...(this.#authorizer && { Authorization: this.#authorizer.authorize(method, uri) }),
      ...fields,
    });
  }

  /** Whether it is worth asking again: a first question, or a nonce that has only grown old. */
  #accept(answer: Message, answered: Authorizer | null): boolean {
    const challenge = chooseChallenge(answer.headers.get('www-authenticate') ?? []);
    if (!challenge || !this.#o.credentials) return false;
    const isStale = challenge.scheme === 'digest' && challenge.stale;
    if (answered !== null && !isStale) return false;
    this.#authorizer = new Authorizer(challenge, this.#o.credentials);
    return true;
  }

  #hear(message: Message): void {
    const sequence = header(message, 'cseq');
    if (message.status === null) {
      // A camera that asks whether we are there.
      this.#write(`RTSP/1.0 200 OK\r\nCSeq: ${/^\d+$/.test(sequence ?? '') ? sequence : 0}\r\n\r\n`);
      return;
    }
    const waiting = this.#take(sequence === null ? null : Number(sequence));
    if (!waiting) return;
    clearTimeout(waiting.timer);
    waiting.resolve(message);
  }

  #write(bytes: string | Buffer): void {
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.destroy(noAnswer());
    else this.#socket.write(bytes);
  }

  #finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    const reason = this.#failure ?? new CodedError('CAMERA_ENDED');
    for (const { timer, reject } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      reject(reason);
    }
    this.#socket.destroySoon();
    this.#listener.closed(this.#failure);
  }
}

const noAnswer = (): CodedError => new CodedError('CAMERA_UNREACHABLE', 'no answer in time');
