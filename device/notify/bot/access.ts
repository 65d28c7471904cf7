import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Role } from '../../contract/access.ts';
import { CodedError } from '../../contract/errors.ts';
import type { BotSettings } from '../../contract/notify.ts';
import type { Clock } from '../../kernel/clock.ts';
import { makeDirectoryDurable, replaceFile } from '../../kernel/durable-file.ts';
import { Lockout } from '../../kernel/lockout.ts';
import type { Log } from '../../kernel/log.ts';
import { Turns } from '../../kernel/turns.ts';

const stored = z.object({ superuserId: z.number().int().nullable(), userIds: z.array(z.number().int()) });
type Stored = z.output<typeof stored>;

const FILE = 'telegram.json';
const MAX_WAITING = 16;
const MAX_USERS = 100;

type Wish = Pick<BotSettings, 'setupPassword' | 'superuserId' | 'userIds'>;

/**
 * Who of Telegram may ask for what: those of secrets.yaml, and those that were added since. Nobody else, and as long
 * as nobody is named, nobody at all.
 */
export class BotAccess {
  readonly #stateDir: string;
  readonly #clock: Clock;
  readonly #lockout = new Lockout();
  readonly #turns = new Turns(MAX_WAITING);
  #settings: Wish;
  #stored: Stored;

  private constructor(stateDir: string, settings: Wish, known: Stored, clock: Clock) {
    this.#stateDir = stateDir;
    this.#settings = settings;
    this.#stored = known;
    this.#clock = clock;
  }

  static async open(stateDir: string, settings: Wish, clock: Clock, log: Log): Promise<BotAccess> {
    const nobody: Stored = { superuserId: null, userIds: [] };
    const text = await readFile(join(stateDir, FILE), 'utf8').catch(() => null);
    try {
      return new BotAccess(
        stateDir,
        settings,
        text === null ? nobody : stored.parse(JSON.parse(text)),
        clock,
      );
    } catch (error) {
      log.error(
        { err: error },
        'the users of the Telegram bot cannot be read: only those of secrets.yaml count',
      );
      return new BotAccess(stateDir, settings, nobody, clock);
    }
  }

  configure(settings: Wish): void {
    this.#settings = settings;
  }

  /** null: a stranger. */
  roleOf(userId: number): Role | null {
    if (userId === this.#superuserId) return 'admin';
    return this.users.includes(userId) ? 'operator' : null;
  }

  get #superuserId(): number | null {
    return this.#settings.superuserId ?? this.#stored.superuserId;
  }

  /** Ids of those who may command. */
  get users(): readonly number[] {
    const all = [this.#superuserId ?? [], this.#settings.userIds, this.#stored.userIds].flat();
    return [...new Set(all)];
  }

  /**
   * The first who knows the setup password becomes admin.
   * @throws CodedError LOCKED_OUT, SETUP_CLOSED, UNAUTHENTICATED
   */
  async setUp(userId: number, password: string): Promise<void> {
    const key = String(userId);
    if (this.#lockout.lockedForMs(key, this.#clock.monotonicMs()) > 0) throw new CodedError('LOCKED_OUT');
    const { setupPassword } = this.#settings;
    if (setupPassword === null || this.#superuserId !== null) throw new CodedError('SETUP_CLOSED');
    if (!isSame(password, setupPassword)) {
      this.#lockout.failed(key, this.#clock.monotonicMs());
      throw new CodedError('UNAUTHENTICATED');
    }
    this.#lockout.succeeded(key);
    await this.#change((now) => {
      if (now.superuserId !== null) throw new CodedError('SETUP_CLOSED');
      return { ...now, superuserId: userId };
    });
  }

  /** @throws CodedError ACCOUNT_EXISTS, COMMAND_INVALID when there are too many */
  async add(userId: number): Promise<void> {
    if (this.roleOf(userId) !== null) throw new CodedError('ACCOUNT_EXISTS', String(userId));
    if (this.users.length >= MAX_USERS) throw new CodedError('COMMAND_INVALID', `at most ${MAX_USERS} users`);
    await this.#change((now) => ({ ...now, userIds: [...now.userIds, userId] }));
  }

  /** @throws CodedError ACCOUNT_UNKNOWN, also of those whom only secrets.yaml can remove */
  async remove(userId: number): Promise<void> {
    if (!this.#stored.userIds.includes(userId)) throw new CodedError('ACCOUNT_UNKNOWN', String(userId));
    await this.#change((now) => ({ ...now, userIds: now.userIds.filter((id) => id !== userId) }));
  }

  async #change(make: (now: Stored) => Stored): Promise<void> {
    await this.#turns.take(async () => {
      const next = make(this.#stored);
      await makeDirectoryDurable(this.#stateDir);
      await replaceFile(join(this.#stateDir, FILE), JSON.stringify(next), 0o600);
      this.#stored = next;
    });
  }
}

/** In the same time whatever differs. */
const isSame = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
