import type { z } from 'zod';
import { mayActAs, type AuditLine, type Caller } from '../contract/access.ts';
import {
  COMMANDS,
  commandRequest,
  type CommandArguments,
  type CommandName,
  type CommandOutcome,
  type CommandRequest,
} from '../contract/commands.ts';
import { CodedError } from '../contract/errors.ts';
import { problemsIn } from '../contract/problems.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';

/** What a handler is given, checked; what it returns is the result, as JSON. */
export interface Order<C extends CommandName = CommandName> {
  readonly arguments: CommandArguments<C>;
  readonly caller: Caller;
  /** Named where the command is about one. */
  readonly cameraId: string;
  readonly module: string;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export type Handlers = { readonly [C in CommandName]: (order: Order<C>) => unknown };

export interface DoorOptions {
  readonly handlers: Handlers;
  readonly audit: (line: AuditLine) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** What takes longer has failed. */
const PATIENCE_MS = 30_000;
/** RAUC starts programs to answer, and a server may be slow: an old board under load needs more than a minute. */
const UPDATE_PATIENCE_MS = 300_000;

const patienceMs = (command: CommandName): number =>
  command.startsWith('update.') ? UPDATE_PATIENCE_MS : PATIENCE_MS;

/**
 * The one door by which commands enter, whatever surface they come from: checked, authorised, done, answered,
 * and written down. Nothing that comes in makes it throw.
 */
export class CommandDoor {
  readonly #o: DoorOptions;

  constructor(options: DoorOptions) {
    this.#o = options;
  }

  /** `request` is whatever came in. */
  async submit(request: unknown, caller: Caller): Promise<CommandOutcome> {
    const parsed = commandRequest.safeParse(request);
    const named: Partial<CommandRequest> = parsed.data ?? {};
    const requestId = named.request_id ?? null;
    let outcome: CommandOutcome;
    try {
      if (!parsed.success) throw new CodedError('COMMAND_INVALID', problemsIn(parsed.error, 'request'));
      const { command, result } = await this.#carryOut(parsed.data, caller);
      outcome = { ok: true, command, requestId, result: result ?? null };
    } catch (error) {
      const coded = CodedError.from(error, 'COMMAND_FAILED');
      if (coded.code === 'COMMAND_FAILED') {
        this.#o.log.error({ err: error, command: named.command }, 'a command failed');
      }
      outcome = { ok: false, command: named.command ?? '', requestId, error: coded.report() };
    }
    this.#o.audit({
      utcMs: this.#o.clock.utcMs(),
      caller,
      command: outcome.command,
      target: named.module ?? named.camera_id ?? null,
      outcome: outcome.ok ? 'ok' : outcome.error.code,
    });
    return outcome;
  }

  async #carryOut(
    request: CommandRequest,
    caller: Caller,
  ): Promise<{ command: CommandName; result: unknown }> {
    if (!Object.hasOwn(COMMANDS, request.command)) throw new CodedError('COMMAND_UNKNOWN', request.command);
    const command = request.command as CommandName;
    const { role, target, arguments: schema } = COMMANDS[command];
    if (!mayActAs(caller.role, role)) {
      throw new CodedError(
        'FORBIDDEN',
        `${command} takes a user of role ${role}; ${caller.user} is ${caller.role}`,
      );
    }
    const { camera_id = '', module = '' } = request;
    if (target === 'camera' && camera_id === '')
      throw new CodedError('COMMAND_INVALID', 'camera_id is missing');
    if (target === 'module' && module === '') throw new CodedError('COMMAND_INVALID', 'module is missing');
    const checked = (schema as z.ZodType).safeParse(request.arguments ?? {});
    if (!checked.success)
      throw new CodedError('COMMAND_INVALID', problemsIn(checked.error, 'arguments', 'arguments'));
    const handler: (order: Order) => unknown = this.#o.handlers[command];
    const result = await this.#inTime(patienceMs(command), (signal) =>
      handler({ arguments: checked.data as Order['arguments'], caller, cameraId: camera_id, module, signal }),
    );
    return { command, result };
  }

  async #inTime(limitMs: number, work: (signal: AbortSignal) => unknown): Promise<unknown> {
    const done = new AbortController();
    const late = new AbortController();
    const timeout = this.#o.clock.sleep(limitMs, done.signal).then(
      () => {
        late.abort();
        throw new CodedError('COMMAND_TIMEOUT');
      },
      () => new Promise<never>(() => {}),
    );
    try {
      return await Promise.race([Promise.resolve().then(() => work(late.signal)), timeout]);
    } finally {
      done.abort();
    }
  }
}
