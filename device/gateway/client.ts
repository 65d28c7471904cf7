import type { WebSocket } from 'ws';
import type { Caller } from '../contract/access.ts';
import type { Door } from '../contract/commands.ts';
import { CodedError } from '../contract/errors.ts';
import { problemsIn } from '../contract/problems.ts';
import { RateLimiter } from '../kernel/rate-limit.ts';
import type { TaskSet } from '../kernel/tasks.ts';
import type { Entry, ReplayBuffer } from './buffer.ts';
import { Outbox } from './outbox.ts';
import { CLOSE, said, type Said, type Told } from './protocol.ts';

export interface ClientLimits {
  /** Bytes that wait for one slow client. */
  readonly clientBytes: number;
  /** A client that takes nothing of what waits for this long is cut off. */
  readonly drainMs: number;
  /** Who has not said who it is by then is sent away. */
  readonly authMs: number;
  readonly messagesPerSecond: number;
  readonly commandsAtOnce: number;
}

export interface ClientContext {
  readonly authenticate: (secret: string) => Promise<Caller>;
  /** Whether what `caller` asks for may be told to it. */
  readonly mayRead: (caller: Caller, topic: string) => boolean;
  readonly matches: (glob: string, topic: string) => boolean;
  readonly door: Door;
  readonly buffer: ReplayBuffer;
  readonly topics: readonly string[];
  readonly keepaliveMs: number;
  readonly limits: ClientLimits;
  readonly nowMs: () => number;
  readonly tasks: TaskSet;
  readonly onDrop: (reason: string) => void;
}

/** Decisions that are remembered; cameras come and go. */
const MAX_REMEMBERED = 1000;

/** One client: who it is, what it wants to hear, and what waits for it. */
export class GatewayClient {
  readonly #o: ClientContext;
  readonly #socket: WebSocket;
  readonly #outbox: Outbox;
  readonly #rate: RateLimiter;
  readonly #openedMs: number;
  readonly #fits = new Map<string, boolean>();
  #caller: Caller | null = null;
  #secret: string | null = null;
  #globs: readonly string[];
  #commands = 0;
  #keptAliveMs: number;
  #hasAnswered = true;
  #ticksSinceClose = 0;

  constructor(socket: WebSocket, context: ClientContext) {
    const { limits, nowMs, onDrop } = context;
    this.#o = context;
    this.#socket = socket;
    this.#globs = context.topics;
    this.#openedMs = nowMs();
    this.#keptAliveMs = this.#openedMs;
    this.#rate = new RateLimiter({ maxEvents: limits.messagesPerSecond, perMs: 1000 });
    this.#outbox = new Outbox(socket, {
      maxBytes: limits.clientBytes,
      nowMs,
      onDrop: () => onDrop('client_slow'),
    });
    socket.on('message', (data, isBinary) => this.#hear(data as Buffer, isBinary));
    socket.on('pong', () => (this.#hasAnswered = true));
    // What follows is `close`.
    socket.on('error', () => {});
  }

  get isKnown(): boolean {
    return this.#caller !== null;
  }

  /** It was made sure who it is: from now on it hears, first what is kept. */
  welcome(caller: Caller, secret: string): void {
    this.#caller = caller;
    this.#secret = secret;
    this.#fits.clear();
    this.#tell({ type: 'ready', user: caller.user, role: caller.role, topics: this.#globs });
    this.#replay(Infinity);
  }

  offer({ topic, bytes }: Pick<Entry, 'topic' | 'bytes'>): void {
    if (this.#wants(topic)) this.#add(bytes, true);
  }

  /** From time to time: what is due, and whether it is still there. */
  tick(): void {
    const { limits, keepaliveMs, nowMs, onDrop, tasks } = this.#o;
    const now = nowMs();
    if (this.#socket.readyState !== this.#socket.OPEN) {
      // Who does not answer a farewell is not waited for.
      if (this.#ticksSinceClose++ > 1) this.#socket.terminate();
    } else if (this.#outbox.stuckMs > limits.drainMs) {
      onDrop('client_frozen');
      this.#socket.terminate();
    } else if (!this.#caller) {
      if (now - this.#openedMs > limits.authMs) this.#sendAway();
    } else if (now - this.#keptAliveMs >= keepaliveMs) {
      this.#keptAliveMs = now;
      if (!this.#hasAnswered) return this.#socket.terminate();
      this.#hasAnswered = false;
      this.#tell({ type: 'keepalive' });
      this.#socket.ping();
      tasks.run('still allowed', () => this.#introduce(this.#secret ?? ''));
    }
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #hear(data: Buffer, isBinary: boolean): void {
    if (!this.#rate.allows('', this.#o.nowMs())) {
      this.#o.onDrop('client_floods');
      return this.close(CLOSE.policy, 'too many messages');
    }
    try {
      this.#take(parse(data, isBinary));
    } catch (error) {
      this.#tell({ type: 'error', error: CodedError.from(error, 'REQUEST_INVALID').report() });
    }
  }

  #take(message: Said): void {
    const { tasks, limits } = this.#o;
    const caller = this.#caller;
    if (message.type === 'auth') return tasks.run('who is it', () => this.#introduce(message.token));
    if (!caller) throw new CodedError('UNAUTHENTICATED');
    if (message.type === 'subscribe') return this.#subscribe(message.topics, message.replay);
    if (this.#commands >= limits.commandsAtOnce) throw new CodedError('TOO_MANY_REQUESTS');
    const { type: _type, ...request } = message;
    this.#commands++;
    tasks.run('command', async () => {
      const { requestId, ...outcome } = await this.#o.door.submit(request, caller);
      this.#commands--;
      this.#tell({ type: 'result', request_id: requestId, ...outcome });
    });
  }

  /** Also again and again while the link stands: who is removed hears no more. */
  async #introduce(secret: string): Promise<void> {
    try {
      const caller = await this.#o.authenticate(secret);
      if (!this.#caller) this.welcome(caller, secret);
      else {
        if (caller.role !== this.#caller.role) this.#fits.clear();
        this.#caller = caller;
        this.#secret = secret;
      }
    } catch (error) {
      const coded = CodedError.from(error, 'ACCESS_UNREADABLE');
      this.#tell({ type: 'error', error: coded.report() });
      if (coded.code !== 'ACCESS_UNREADABLE' || !this.#caller) this.#sendAway();
    }
  }

  #subscribe(globs: readonly string[], replay: number): void {
    // Says what is wrong with a glob before anything changes.
    for (const glob of globs) {
      try {
        this.#o.matches(glob, 'a');
      } catch (error) {
        throw new CodedError('REQUEST_INVALID', (error as Error).message, { cause: error });
      }
    }
    this.#globs = globs;
    this.#fits.clear();
    this.#tell({ type: 'subscribed', topics: globs });
    this.#replay(replay);
  }

  #replay(count: number): void {
    for (const { bytes } of this.#o.buffer.last(count, (topic) => this.#wants(topic))) this.#add(bytes, true);
  }

  #wants(topic: string): boolean {
    const caller = this.#caller;
    if (!caller) return false;
    const known = this.#fits.get(topic);
    if (known !== undefined) return known;
    const { mayRead, matches } = this.#o;
    const fits = mayRead(caller, topic) && this.#globs.some((glob) => matches(glob, topic));
    if (this.#fits.size >= MAX_REMEMBERED) this.#fits.clear();
    this.#fits.set(topic, fits);
    return fits;
  }

  #tell(message: Told): void {
    this.#add(Buffer.from(JSON.stringify(message)), false);
  }

  #add(bytes: Buffer, isEvent: boolean): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (!this.#outbox.add(bytes, isEvent)) this.#socket.terminate();
  }

  #sendAway(): void {
    this.close(CLOSE.unauthenticated, 'not signed in');
  }
}

/** Throws REQUEST_INVALID. */
function parse(data: Buffer, isBinary: boolean): Said {
  if (isBinary) throw new CodedError('REQUEST_INVALID', 'messages are JSON text');
  let value: unknown;
  try {
    value = JSON.parse(data.toString());
  } catch {
    throw new CodedError('REQUEST_INVALID', 'not JSON');
  }
  const { success, data: message, error } = said.safeParse(value);
  if (success) return message;
  throw new CodedError('REQUEST_INVALID', problemsIn(error, 'message'));
}
