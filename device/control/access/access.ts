import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import type { Account, Caller, Credentials, Origin, Role } from '../../contract/access.ts';
import { CodedError } from '../../contract/errors.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Turns } from '../../kernel/turns.ts';
import {
  accountName,
  bookVersion,
  EMPTY_BOOK,
  readBook,
  writeBook,
  type Book,
  type TokenEntry,
  type UserEntry,
} from './book.ts';
import { Lockout } from '../../kernel/lockout.ts';
import { forgetSetupCode, keepSetupCode } from './setup-code.ts';
import { hashPassword, isPassword } from './password.ts';

export interface AccessOptions {
  readonly stateDir: string;
  readonly clock: Clock;
  /**
   * Told the code that makes the owner, for the console of the device alone, and null once there is one. Left out by whoever
   * opens the file beside the agent: no code is made then.
   */
  readonly onSetupCode?: (code: string | null) => void;
}

const SESSION_MS = 30 * 86_400_000;
const MAX_SESSIONS = 200;
/** How soon what was changed beside the agent is noticed. */
const WATCH_MS = 1000;
const MIN_PASSWORD_CHARACTERS = 10;
const COMMON = new Set([
  '1234567890',
  'password123',
  'qwertyuiop',
  'spyoncino1',
  'changeme123',
  'administrator',
]);
const MAX_WAITING = 64;
/** Passwords that were right a moment ago need not be derived again; a fleet of clients may reconnect at once. */
const MAX_REMEMBERED = 256;

/**
 * Knows who may, and makes sure who asks. Deny by default: without users nobody may anything, except to become
 * the owner with the code that the console shows.
 *
 * Invariant: what was answered is on disk before. The file is looked at before each answer, as `spyoncino users`
 * may have changed it beside the running agent.
 */
export class Access {
  readonly #o: AccessOptions;
  readonly #path: string;
  readonly #turns = new Turns(MAX_WAITING);
  readonly #lockout = new Lockout();
  readonly #rememberKey = randomBytes(32);
  readonly #remembered = new Map<string, string>();
  #book: Book = EMPTY_BOOK;
  #version: string | null = null;
  #setupCode: string | null = null;
  #onRevoked: (name: string) => void = () => {};
  /** As `#proofs`, when it was last looked at. */
  #known: ReadonlyMap<string, string> = new Map();

  private constructor(options: AccessOptions) {
    this.#o = options;
    this.#path = join(options.stateDir, 'access.json');
  }

  /** Throws ACCESS_UNREADABLE. */
  static async open(options: AccessOptions): Promise<Access> {
    const access = new Access(options);
    await access.#refresh();
    await access.#takeSetupCode();
    return access;
  }

  get hasOwner(): boolean {
    return this.#book.users.some(({ role }) => role === 'admin');
  }

  get accounts(): readonly Account[] {
    const users = this.#book.users.map(({ name, role, createdUtcMs }): Account => {
      return { name, kind: 'user', role, createdUtcMs, expiresUtcMs: null };
    });
    const tokens = this.#book.tokens.map(({ name, role, createdUtcMs, expiresUtcMs }): Account => {
      return { name, kind: 'token', role, createdUtcMs, expiresUtcMs };
    });
    return [...users, ...tokens];
  }

  /** Who it is. Throws UNAUTHENTICATED, or LOCKED_OUT after too many wrong passwords from one address. */
  async authenticate(credentials: Credentials, origin: Origin): Promise<Caller> {
    const found =
      credentials.kind === 'password'
        ? await this.#guarded(origin, () => this.#password(credentials.name, credentials.password))
        : await this.#refresh().then(() =>
            credentials.kind === 'bearer'
              ? this.#bearer(credentials.secret)
              : this.#token(proofOfCertificate(credentials.sha256)),
          );
    if (!found) throw new CodedError('UNAUTHENTICATED');
    return { user: found.name, role: found.role, surface: origin.surface };
  }

  /**
   * Tells, until disposed of, of each user and token that may no longer do what it could: gone, expired, or with
   * another password or role. Whoever holds connections ends theirs. Within a second, also of changes by others.
   */
  watch(onRevoked: (name: string) => void): AsyncDisposable {
    const stopping = new AbortController();
    this.#onRevoked = onRevoked;
    const watching = this.#watch(stopping.signal);
    return {
      async [Symbol.asyncDispose]() {
        stopping.abort();
        await watching;
      },
    };
  }

  /** Makes the first admin. Throws SETUP_CLOSED, UNAUTHENTICATED, LOCKED_OUT, PASSWORD_WEAK. */
  async claim(code: string, name: string, password: string, origin: Origin): Promise<void> {
    if (this.hasOwner) throw new CodedError('SETUP_CLOSED');
    await this.#guarded(origin, async () => {
      const given = code.toUpperCase().replaceAll(/[^A-Z0-9]/g, '');
      if (!this.#setupCode || !isSame(given, this.#setupCode)) throw new CodedError('UNAUTHENTICATED');
      await this.#changeBook(async (book) => {
        if (book.users.some(({ role }) => role === 'admin')) throw new CodedError('SETUP_CLOSED');
        return withUser(book, await this.#makeUser(name, 'admin', password));
      });
    });
  }

  /** A session for a user who has just been authenticated by password: its secret, told only now. */
  async openSession(user: string): Promise<{ secret: string; expiresUtcMs: number }> {
    const secret = newSecret();
    const nowMs = this.#o.clock.utcMs();
    const expiresUtcMs = nowMs + SESSION_MS;
    await this.#changeBook(async (book) => ({
      ...book,
      sessions: [
        ...book.sessions.filter((session) => session.expiresUtcMs > nowMs),
        { hash: hashOf(secret), user, expiresUtcMs },
      ].slice(-MAX_SESSIONS),
    }));
    return { secret, expiresUtcMs };
  }

  async closeSession(secret: string): Promise<void> {
    const hash = hashOf(secret);
    await this.#changeBook(async (book) => ({
      ...book,
      sessions: book.sessions.filter((session) => session.hash !== hash),
    }));
  }

  /** Throws ACCOUNT_EXISTS, PASSWORD_WEAK, COMMAND_INVALID for a name that cannot be. */
  async addUser(name: string, role: Role, password: string): Promise<void> {
    await this.#changeBook(async (book) => withUser(book, await this.#makeUser(name, role, password)));
  }

  /** Ends the user's sessions. Throws ACCOUNT_UNKNOWN, PASSWORD_WEAK. */
  async setPassword(name: string, password: string): Promise<void> {
    await this.#changeBook(async (book) => {
      const user = book.users.find((known) => known.name === name);
      if (!user) throw new CodedError('ACCOUNT_UNKNOWN', name);
      const made = await this.#makeUser(name, user.role, password);
      return {
        ...book,
        users: book.users.map((known) => (known === user ? { ...user, password: made.password } : known)),
        sessions: book.sessions.filter((session) => session.user !== name),
      };
    });
  }

  /** A token for a program: its secret, told only now. Throws ACCOUNT_EXISTS, COMMAND_INVALID. */
  async addToken(name: string, role: Role, expiresUtcMs: number | null): Promise<string> {
    const secret = newSecret();
    await this.#addToken({ name, role, hash: hashOf(secret), expiresUtcMs });
    return secret;
  }

  /** A token whose secret is the key of a certificate, by the SHA-256 of that (hex). Throws as `addToken`. */
  async addCertificate(name: string, role: Role, sha256: string, expiresUtcMs: number): Promise<void> {
    await this.#addToken({ name, role, hash: proofOfCertificate(sha256), expiresUtcMs });
  }

  /** Of a user, with all sessions, or of a token. Throws ACCOUNT_UNKNOWN, ACCOUNT_LAST_ADMIN. */
  async remove(name: string): Promise<void> {
    await this.#changeBook(async (book) => {
      if (!this.accounts.some((account) => account.name === name))
        throw new CodedError('ACCOUNT_UNKNOWN', name);
      const users = book.users.filter((user) => user.name !== name);
      if (!users.some(({ role }) => role === 'admin') && this.hasOwner)
        throw new CodedError('ACCOUNT_LAST_ADMIN');
      return {
        users,
        tokens: book.tokens.filter((token) => token.name !== name),
        sessions: book.sessions.filter((session) => session.user !== name),
      };
    });
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock } = this.#o;
    for (;;) {
      await clock.sleep(WATCH_MS, signal).catch(() => {});
      if (signal.aborted) return;
      await this.#refresh().then(
        // Time alone ends tokens.
        () => this.#tellRevoked(this.#proofs()),
        // Without knowing who may, nobody may.
        () => this.#tellRevoked(new Map()),
      );
    }
  }

  /** Whoever is let in is known here before, so that none is missed however soon it is removed again. */
  #tellRevoked(now: ReadonlyMap<string, string>): void {
    const before = this.#known;
    this.#known = now;
    for (const [name, proof] of before) if (now.get(name) !== proof) this.#onRevoked(name);
  }

  /** By name: the role, and what proves who it is. */
  #proofs(): ReadonlyMap<string, string> {
    const nowMs = this.#o.clock.utcMs();
    const tokens = this.#book.tokens.filter((token) => (token.expiresUtcMs ?? Infinity) > nowMs);
    return new Map([
      ...this.#book.users.map(({ name, role, password }) => [name, `${role} ${password}`] as const),
      ...tokens.map(({ name, role, hash }) => [name, `${role} ${hash}`] as const),
    ]);
  }

  /** Locks who guesses. Secrets of tokens and sessions are beyond guessing, and old ones are sent innocently. */
  async #guarded<T>({ address }: Origin, work: () => Promise<T>): Promise<T> {
    const { clock } = this.#o;
    if (this.#lockout.lockedForMs(address, clock.monotonicMs()) > 0) throw new CodedError('LOCKED_OUT');
    await this.#refresh();
    try {
      const result = await work();
      this.#lockout.succeeded(address);
      return result;
    } catch (error) {
      if (error instanceof CodedError && error.code === 'UNAUTHENTICATED') {
        this.#lockout.failed(address, clock.monotonicMs());
      }
      throw error;
    }
  }

  async #addToken(token: Omit<TokenEntry, 'createdUtcMs'>): Promise<void> {
    const createdUtcMs = this.#o.clock.utcMs();
    await this.#changeBook(async (book) => {
      checkName(book, token.name);
      return { ...book, tokens: [...book.tokens, { ...token, createdUtcMs }] };
    });
  }

  #bearer(secret: string): { name: string; role: Role } | null {
    const hash = hashOf(secret);
    const token = this.#token(hash);
    if (token) return token;
    const session = this.#book.sessions.find((entry) => this.#isValid(entry, hash));
    return this.#book.users.find(({ name }) => name === session?.user) ?? null;
  }

  #token(hash: string): TokenEntry | null {
    return this.#book.tokens.find((entry) => this.#isValid(entry, hash)) ?? null;
  }

  #isValid(entry: { hash: string; expiresUtcMs: number | null }, hash: string): boolean {
    return isSame(entry.hash, hash) && (entry.expiresUtcMs ?? Infinity) > this.#o.clock.utcMs();
  }

  async #password(name: string, password: string): Promise<UserEntry> {
    const user = this.#book.users.find((known) => known.name === name) ?? null;
    const proof = createHmac('sha256', this.#rememberKey).update(`${name}\0${password}`).digest('hex');
    if (user && this.#remembered.get(proof) === user.password) return user;
    if (!(await isPassword(password, user?.password ?? null)) || !user)
      throw new CodedError('UNAUTHENTICATED');
    this.#remembered.set(proof, user.password);
    if (this.#remembered.size > MAX_REMEMBERED)
      this.#remembered.delete(this.#remembered.keys().next().value!);
    return user;
  }

  async #makeUser(name: string, role: Role, password: string): Promise<UserEntry> {
    const isWeak =
      password.length < MIN_PASSWORD_CHARACTERS ||
      password.toLowerCase().includes(name.toLowerCase()) ||
      COMMON.has(password.toLowerCase());
    if (isWeak) throw new CodedError('PASSWORD_WEAK');
    return { name, role, password: await hashPassword(password), createdUtcMs: this.#o.clock.utcMs() };
  }

  async #changeBook(change: (book: Book) => Promise<Book>): Promise<void> {
    await this.#turns.take(async () => {
      await this.#refresh();
      const book = await change(this.#book);
      await writeBook(this.#path, book);
      await this.#refresh();
    });
  }

  async #refresh(): Promise<void> {
    const version = await bookVersion(this.#path);
    if (version === this.#version) return;
    this.#book = await readBook(this.#path);
    this.#version = version;
    this.#tellRevoked(this.#proofs());
    if (this.#setupCode === null || !this.hasOwner) return;
    this.#setupCode = null;
    await forgetSetupCode(this.#o.stateDir);
    this.#o.onSetupCode?.(null);
  }

  async #takeSetupCode(): Promise<void> {
    const { onSetupCode, stateDir } = this.#o;
    if (!onSetupCode) return;
    if (this.hasOwner) {
      await forgetSetupCode(stateDir);
      onSetupCode(null);
      return;
    }
    this.#setupCode = await keepSetupCode(stateDir);
    onSetupCode(`${this.#setupCode.slice(0, 5)}-${this.#setupCode.slice(5)}`);
  }
}

function withUser(book: Book, user: UserEntry): Book {
  checkName(book, user.name);
  return { ...book, users: [...book.users, user] };
}

/** Users and tokens share their names: audit lines name either. */
function checkName({ users, tokens }: Book, name: string): void {
  const problem = accountName.safeParse(name).error?.issues[0];
  if (problem) throw new CodedError('COMMAND_INVALID', `name: ${problem.message}`);
  if ([...users, ...tokens].some((known) => known.name === name))
    throw new CodedError('ACCOUNT_EXISTS', name);
}

/** Tells secrets from passwords, and lets scanners of repositories find those that were committed by mistake. */
export const SECRET_PREFIX = 'spy_';

/** 256 bits. */
const newSecret = (): string => `${SECRET_PREFIX}${randomBytes(32).toString('base64url')}`;

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** No secret of a token has this hash. */
const proofOfCertificate = (sha256: string): string => hashOf(`certificate ${sha256}`);

const isSame = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
