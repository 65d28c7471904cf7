import { join } from 'node:path';
import type { Api, InputFile } from 'grammy';
import { CodedError, type ErrorReport } from '../../contract/errors.ts';
import type { Door } from '../../contract/commands.ts';
import type { ModuleHealth } from '../../contract/modules.ts';
import type { BotSettings } from '../../contract/notify.ts';
import { backoff } from '../../kernel/backoff.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import { RateLimiter } from '../../kernel/rate-limit.ts';
import type { Part } from '../../kernel/slot.ts';
import { TaskSet } from '../../kernel/tasks.ts';
import { Turns } from '../../kernel/turns.ts';
import { telegramFailure } from '../telegram.ts';
import type { BotAccess } from './access.ts';
import { CHAT_COMMANDS, commandOf, parseCommand } from './commands.ts';
import type { Reply } from './replies.ts';

export interface BotOptions {
  readonly settings: BotSettings;
  readonly access: BotAccess;
  /** Why it takes no commands though it should; null: it does. */
  readonly quiet: ErrorReport | null;
  readonly door: Door;
  readonly cameras: () => readonly string[];
  /** A PNG of an SVG without text. */
  readonly draw: (svg: string, signal: AbortSignal) => Promise<Uint8Array>;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Telegram holds the answer back so long, until somebody writes. */
const POLL_S = 25;
/** Longer than that a connection is dead. */
const POLL_LIMIT_MS = 40_000;
const CALL_LIMIT_MS = 30_000;
/** A file takes longer than words. */
const FILE_LIMIT_MS = 120_000;
const RETRY = { firstMs: 1000, maxMs: 30_000 } as const;
/** Who asked before an outage does not expect it to be done hours later. */
const STALE_MS = 300_000;
const MAX_AT_WORK = 8;
const MAX_TEXT = 4096;
const MAX_CAPTION = 1024;

interface Words {
  readonly text: string;
  readonly userId: number;
  readonly chatId: number;
  readonly isPrivate: boolean;
}

/**
 * Takes what people write to the bot, and leads it to the one door. Deny by default: strangers are not answered.
 * A command is done once or not at all: it counts as taken before it is begun.
 */
export class TelegramBot implements Part {
  readonly #o: BotOptions;
  readonly #limiter: RateLimiter;
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  #api: Api | null = null;
  #file: ((content: string | Uint8Array, name?: string) => InputFile) | null = null;
  readonly #drawing = new Turns(MAX_AT_WORK);
  #name = '';
  #failure: ErrorReport | null = null;
  #isPolling = false;
  #commands = 0;
  #refused = 0;

  constructor(options: BotOptions) {
    this.#o = options;
    this.#limiter = new RateLimiter(options.settings.rateLimit);
    this.#tasks = new TaskSet((name, error) => {
      // Not the error itself: its address holds the token.
      const { code, message } = telegramFailure(error);
      options.log.warn({ task: name, code, reason: message }, 'the Telegram bot could not');
    });
  }

  start(): void {
    if (!this.#o.settings.enabled || this.#o.quiet) return;
    if (this.#o.settings.token === null) {
      this.#failure = new CodedError(
        'NOTIFY_UNCONFIGURED',
        'missing: telegram.token in secrets.yaml',
      ).report();
      return;
    }
    const { token } = this.#o.settings;
    this.#tasks.run('listen', () => this.#listen(token));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.settle();
  }

  health(): ModuleHealth {
    const { access, quiet, settings } = this.#o;
    if (!settings.enabled) return { status: 'disabled', reasons: [], details: {} };
    if (quiet) return { status: 'disabled', reasons: [quiet], details: {} };
    return {
      status: this.#isPolling && !this.#failure ? 'healthy' : 'degraded',
      reasons: this.#failure ? [this.#failure] : [],
      details: {
        bot_running: this.#isPolling,
        authorized_users: access.users.length,
        commands: this.#commands,
        refused: this.#refused,
      },
    };
  }

  async #listen(token: string): Promise<void> {
    const { Api, InputFile } = await import('grammy');
    this.#api = new Api(token, { apiRoot: this.#o.settings.apiRoot });
    this.#file = (content, name) => new InputFile(content, name);
    const { signal } = this.#stopping;
    let delays = backoff(RETRY);
    let offset = 0;
    while (!signal.aborted) {
      try {
        if (this.#name === '') await this.#introduce(this.#api);
        const updates = await this.#api.getUpdates(
          { offset, timeout: POLL_S, allowed_updates: ['message', 'callback_query'] },
          this.#limit(POLL_LIMIT_MS),
        );
        this.#isPolling = true;
        this.#failure = null;
        delays = backoff(RETRY);
        for (const update of updates) {
          offset = update.update_id + 1;
          this.#take(wordsIn(update, this.#o.clock.utcMs()), update.callback_query?.id ?? null);
        }
      } catch (error) {
        if (signal.aborted) return;
        const failure = telegramFailure(error);
        this.#isPolling = false;
        this.#failure = failure.report();
        const ms = Math.max(delays.next().value, failure.retryAfterMs ?? 0);
        await this.#o.clock.sleep(ms, signal).catch(() => {});
      }
    }
  }

  async #introduce(api: Api): Promise<void> {
    const { username } = await api.getMe(this.#limit(CALL_LIMIT_MS));
    const commands = Object.entries(CHAT_COMMANDS).map(([command, { about }]) => ({
      command,
      description: about,
    }));
    await api.setMyCommands(commands, {}, this.#limit(CALL_LIMIT_MS));
    this.#name = username;
  }

  #take(words: Words | null, callbackId: string | null): void {
    if (!words) return;
    if (this.#tasks.names.length > MAX_AT_WORK) {
      this.#refused++;
      return;
    }
    this.#tasks.run('command', async () => {
      if (callbackId !== null && this.#o.access.roleOf(words.userId) !== null)
        await this.#api!.answerCallbackQuery(callbackId, {}, this.#limit(CALL_LIMIT_MS));
      const reply = await this.#answer(words);
      if (reply) await this.#reply(words.chatId, reply);
    });
  }

  /** null: nothing is said. */
  async #answer({ text, userId, chatId: _chatId, isPrivate }: Words): Promise<Reply | null> {
    const { access, settings, clock, log } = this.#o;
    const parsed = parseCommand(text, this.#name);
    if (!parsed) return null;
    const { name, words } = parsed;
    const role = access.roleOf(userId);
    if (!isPrivate && !settings.allowGroups) return null;
    // A password is nothing for a group.
    if (name === 'setup' && isPrivate) return await this.#setUp(userId, words.join(' '));
    if (role === null) {
      this.#refused++;
      log.info({ userId, command: name }, 'a stranger wrote to the Telegram bot');
      return settings.isSilent ? null : { text: new CodedError('FORBIDDEN').message };
    }
    if (!this.#limiter.allows(String(userId), clock.monotonicMs())) {
      this.#refused++;
      return { text: new CodedError('TOO_MANY_REQUESTS').message };
    }
    this.#commands++;
    const command = commandOf(name);
    if (!command)
      return { text: `${new CodedError('COMMAND_UNKNOWN', `/${name}`).message} /help lists all.` };
    try {
      return await command.run({
        words,
        userId,
        role,
        cameras: this.#o.cameras(),
        timeZone: settings.timeZone,
        utcMs: clock.utcMs(),
        ask: async (asked, request = {}) => {
          const caller = { user: `telegram:${userId}`, role, surface: 'telegram' } as const;
          const outcome = await this.#o.door.submit({ command: asked, ...request }, caller);
          if (!outcome.ok) throw CodedError.of(outcome.error);
          return outcome.result;
        },
      });
    } catch (error) {
      const { message, advice } = CodedError.from(error, 'COMMAND_FAILED');
      return { text: `${message} ${advice}` };
    }
  }

  async #setUp(userId: number, password: string): Promise<Reply | null> {
    const { access, settings, log } = this.#o;
    try {
      await access.setUp(userId, password);
      log.warn({ userId }, 'somebody is admin of the Telegram bot from now on');
      return { text: 'You are admin now. /help says what I understand.' };
    } catch (error) {
      const coded = CodedError.from(error, 'COMMAND_FAILED');
      this.#refused++;
      log.warn({ userId, code: coded.code }, 'an attempt to set up the Telegram bot failed');
      return settings.isSilent && access.roleOf(userId) === null ? null : { text: coded.message };
    }
  }

  async #reply(chatId: number, reply: Reply): Promise<void> {
    const { text, photo, video, document, buttons } = reply;
    const api = this.#api!;
    const markup =
      buttons === undefined || buttons.length === 0
        ? {}
        : {
            reply_markup: {
              inline_keyboard: buttons.map((row) =>
                row.map((button) => ({ text: button.text, callback_data: button.press })),
              ),
            },
          };
    const file = (path: string): InputFile => this.#file!(join(this.#o.dataDir, path));
    const limit = this.#limit(FILE_LIMIT_MS);
    const drawn = reply.chart === undefined ? null : await this.#draw(reply.chart);
    if (drawn) {
      const chart = this.#file!(drawn, 'chart.png');
      await api.sendPhoto(chatId, chart, { caption: cut(text, MAX_CAPTION) }, limit);
    } else if (document) {
      const { name, text: whole } = document;
      const written = this.#file!(Buffer.from(whole), name);
      await api.sendDocument(chatId, written, { caption: cut(text, MAX_CAPTION) }, limit);
    } else if (photo !== undefined) await api.sendPhoto(chatId, file(photo), { caption: text }, limit);
    else if (video !== undefined) {
      await api.sendVideo(chatId, file(video), { caption: text, supports_streaming: true }, limit);
    } else await api.sendMessage(chatId, cut(text, MAX_TEXT), markup, limit);
  }

  /** null: the words have to do. */
  async #draw(svg: string): Promise<Uint8Array | null> {
    try {
      return await this.#drawing.take(() => this.#o.draw(svg, this.#stopping.signal));
    } catch (error) {
      this.#o.log.warn({ err: error }, 'a chart could not be drawn: it is told in words');
      return null;
    }
  }

  /** Its own kind of signal differs from that of Node in types only. */
  #limit(ms: number): never {
    return AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ms)]) as never;
  }
}

const cut = (text: string, max: number): string => (text.length <= max ? text : `${text.slice(0, max - 1)}…`);

interface Update {
  readonly message?: {
    readonly text?: string;
    readonly date: number;
    readonly from?: { readonly id: number };
    readonly chat: { readonly id: number; readonly type: string };
  };
  readonly callback_query?: {
    readonly data?: string;
    readonly from: { readonly id: number };
    readonly message?: { readonly chat: { readonly id: number; readonly type: string } };
  };
}

/** Typed or pressed; null: neither, or too long ago. */
function wordsIn({ message, callback_query: pressed }: Update, nowUtcMs: number): Words | null {
  if (pressed?.data !== undefined && pressed.message) {
    const { id, type } = pressed.message.chat;
    return { text: `/${pressed.data}`, userId: pressed.from.id, chatId: id, isPrivate: type === 'private' };
  }
  if (message?.text === undefined || !message.from || message.date * 1000 < nowUtcMs - STALE_MS) return null;
  const { id, type } = message.chat;
  return { text: message.text, userId: message.from.id, chatId: id, isPrivate: type === 'private' };
}
