import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConfigFact, KeyChange } from '../contract/config.ts';
import { CodedError } from '../contract/errors.ts';
import type { Settings } from '../contract/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import { replaceFile } from '../kernel/durable-file.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { Turns, TurnsTaken } from '../kernel/turns.ts';
import { renameOldKeys } from './aliases.ts';
import { diffConfig } from './diff.ts';
import { editConfig } from './edit.ts';
import { readText } from './files.ts';
import { History, writtenOf, type Snapshot } from './history.ts';
import { loadSettings, type LoadedSettings, type LoadOptions } from './load.ts';
import { planChange, planInWords, type ChangePlan } from './plan.ts';
import type { Tree } from './tree.ts';

/** Best first. */
export const HEALTH_LEVELS = ['healthy', 'degraded', 'error'] as const;
export type HealthLevel = (typeof HEALTH_LEVELS)[number];

/** The running agent, as the keeper of its configuration sees it. */
export interface Applier {
  /** Carries the plan out. Rejects when a step fails; whatever was done by then is taken back by another plan. */
  apply(plan: ChangePlan, settings: Settings): Promise<void>;
  /** How the parts are, by name (`camera.porch`, `detector`, …); those that say nothing are not judged. */
  health(): ReadonlyMap<string, HealthLevel>;
  tell(fact: ConfigFact): void;
}

export interface ConfigKeeperOptions {
  /** How the files are read; a candidate is read in the same way. */
  readonly load: LoadOptions;
  /** For history and the mark of an unconfirmed change. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface UpdateRequest {
  readonly author: string;
  /** Merged into the file (see `editConfig`); null: take what was typed into the file. */
  readonly changes: Tree | null;
  /** Only say what would happen. */
  readonly dryRun?: boolean;
}

export interface UpdateResult {
  readonly fingerprint: string;
  readonly changes: readonly KeyChange[];
  readonly plan: ChangePlan;
  /** For people: what the plan does. */
  readonly summary: string;
}

/** A part that is worse off for this long was not just restarting. */
const GRACE_MS = 10_000;
const LOOK_EVERY_MS = 1000;
const MAX_WAITING = 8;
/** Author of what was typed into config.yaml. */
const FILE = 'file';

/**
 * The one who may change the configuration. See design/configuration.md.
 *
 * Invariants: `current` is what the agent runs on, and config.yaml says the same unless a person edits it; while
 * a change is unconfirmed the mark `pending` is on disk; one change at a time.
 */
export class ConfigKeeper implements AsyncDisposable {
  readonly #o: ConfigKeeperOptions;
  readonly #history: History;
  readonly #turns = new Turns(MAX_WAITING);
  readonly #tasks: TaskSet;
  #current: LoadedSettings;
  #applier: Applier | null = null;
  /** What happened before anybody listened. */
  readonly #untold: ConfigFact[] = [];
  /** The change that waits to be confirmed: what to go back to, and how things were before it. */
  #trial: Trial | null = null;

  private constructor(options: ConfigKeeperOptions, history: History, current: LoadedSettings) {
    this.#o = options;
    this.#history = history;
    this.#current = current;
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  /**
   * Reads the files; undoes a change that a power cut left unconfirmed; takes down what was typed into the file.
   * Where nothing can be written the agent starts all the same. Throws like `loadSettings`.
   */
  static async open(options: ConfigKeeperOptions): Promise<ConfigKeeper> {
    const history = new History(options.stateDir);
    const orElse =
      <T>(otherwise: T) =>
      (error: unknown): T => {
        options.log.warn({ err: error }, 'the history of the configuration cannot be written');
        return otherwise;
      };
    const undone = await undoUnconfirmed(options, history).catch(orElse(null));
    const current = await loadSettings(options.load);
    const keeper = new ConfigKeeper(options, history, current);
    const latest = await history.latest();
    if (latest?.fingerprint !== current.fingerprint) {
      const changes = latest ? diffConfig(writtenOf(latest), current.written) : [];
      await keeper.#remember(current, FILE, changes).catch(orElse(undefined));
    }
    if (undone) keeper.#untold.push({ ...undone, fingerprint: current.fingerprint });
    return keeper;
  }

  get current(): LoadedSettings {
    return this.#current;
  }

  history(): Promise<readonly Snapshot[]> {
    return this.#history.list();
  }

  /** From now on changes reach `applier`. Tells what it runs on. */
  serve(applier: Applier): void {
    this.#applier = applier;
    for (const fact of this.#untold.splice(0)) applier.tell(fact);
    this.#tell(FILE, []);
  }

  /**
   * Changes the configuration, or says why not: CONFIG_INVALID, CONFIG_UNREADABLE, CONFIG_NOT_WRITABLE,
   * CONFIG_APPLY_FAILED, CONFIG_BUSY. Rejected requests change nothing, and are told.
   */
  async update({ author, changes, dryRun = false }: UpdateRequest): Promise<UpdateResult> {
    return await this.#inTurn(author, async () => {
      const { text: now, written } = this.#current;
      const text = changes
        ? editConfig(now, renameOldKeys(changes, written))
        : ((await this.#fileText()) ?? '');
      return await this.#change(text, author, dryRun);
    });
  }

  /** Back to the newest snapshot whose fingerprint begins with `fingerprint`. Throws CONFIG_UNKNOWN too. */
  async rollback({ author, fingerprint }: { author: string; fingerprint: string }): Promise<UpdateResult> {
    return await this.#inTurn(author, async () => {
      const snapshot = await this.#history.find(fingerprint);
      if (!snapshot) throw new CodedError('CONFIG_UNKNOWN', fingerprint);
      const from = this.#current.fingerprint;
      const result = await this.#change(snapshot.text, author, false);
      this.#applier?.tell({
        type: 'rollback',
        fingerprint: result.fingerprint,
        from,
        reason: 'request',
        author,
      });
      return result;
    });
  }

  /** Resolves when no change waits to be confirmed. */
  async settled(): Promise<void> {
    await this.#tasks.settle();
  }

  /** An unconfirmed change stays unconfirmed: it is undone at the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#trial?.over.abort();
    await this.#turns.take(() => this.#tasks.settle()).catch(() => {});
  }

  async #inTurn(author: string, work: () => Promise<UpdateResult>): Promise<UpdateResult> {
    try {
      return await this.#turns.take(work);
    } catch (error) {
      const reason = CodedError.from(
        error,
        error instanceof TurnsTaken ? 'CONFIG_BUSY' : 'CONFIG_APPLY_FAILED',
      );
      this.#applier?.tell({ type: 'rejected', author, reason: reason.report() });
      throw reason;
    }
  }

  async #change(text: string, author: string, dryRun: boolean): Promise<UpdateResult> {
    const before = this.#current;
    const { ignored: tolerated } = before;
    const after = await loadSettings({ ...this.#o.load, configText: text, tolerated });
    const plan = planChange(before.settings, after.settings);
    const changes = diffConfig(before.written, after.written);
    const result = { fingerprint: after.fingerprint, changes, plan, summary: planInWords(plan) };
    if (dryRun) return result;
    const previous = this.#trial ?? new Trial(before, this.#applier?.health() ?? new Map());
    await this.#history.setPending({ from: previous.confirmed.fingerprint, to: after.fingerprint });
    try {
      await this.#write(text);
      await this.#apply(before, after, plan);
      await this.#remember(after, author, changes);
    } catch (error) {
      await this.#goBack(before);
      throw error;
    }
    this.#current = after;
    this.#tell(author, changes);
    previous.over.abort();
    const trial = (this.#trial = previous.next(plan));
    this.#tasks.run('confirm', () => this.#watch(trial, author));
    return result;
  }

  async #apply(before: LoadedSettings, after: LoadedSettings, plan: ChangePlan): Promise<void> {
    if (!this.#applier) return;
    try {
      await this.#applier.apply(plan, after.settings);
    } catch (error) {
      await this.#applier.apply(planChange(after.settings, before.settings), before.settings);
      throw CodedError.from(error, 'CONFIG_APPLY_FAILED');
    }
  }

  /** The file says again what `to` says, and nothing waits to be confirmed but what did before. */
  async #goBack(to: LoadedSettings): Promise<void> {
    await this.#write(to.text);
    const { confirmed } = this.#trial ?? { confirmed: to };
    const isConfirmed = confirmed.fingerprint === to.fingerprint;
    await this.#history.setPending(isConfirmed ? null : { from: confirmed.fingerprint, to: to.fingerprint });
  }

  /** Until the change is confirmed, taken back, or succeeded by another. */
  async #watch(trial: Trial, author: string): Promise<void> {
    const { clock } = this.#o;
    const endMs = clock.monotonicMs() + this.#current.config.system.confirm_seconds * 1000;
    let worseSinceMs: number | null = null;
    for (;;) {
      const worse = this.#applier ? trial.worse(this.#applier.health()) : null;
      const nowMs = clock.monotonicMs();
      worseSinceMs = worse === null ? null : (worseSinceMs ?? nowMs);
      const isOver = nowMs >= endMs;
      if (worse !== null && (isOver || nowMs - (worseSinceMs ?? nowMs) >= GRACE_MS)) {
        await this.#turns.take(() => this.#revert(trial, worse, author));
        return;
      }
      if (isOver) {
        await this.#turns.take(() => this.#confirm(trial));
        return;
      }
      await clock.sleep(Math.min(LOOK_EVERY_MS, endMs - nowMs), trial.over.signal).catch(() => {});
      if (trial.over.signal.aborted) return;
    }
  }

  async #confirm(trial: Trial): Promise<void> {
    if (this.#trial !== trial) return;
    this.#trial = null;
    await this.#history.setPending(null);
  }

  async #revert(trial: Trial, part: string, author: string): Promise<void> {
    if (this.#trial !== trial) return;
    const failed = this.#current;
    const { confirmed } = trial;
    const reason = new CodedError('CONFIG_REVERTED', `${part} is worse off than before`).report();
    this.#trial = null;
    const edited = await this.#fileText();
    // A person who edits the file meanwhile knows more than we do: the agent goes back, the file is theirs.
    if (edited === failed.text) await this.#write(confirmed.text);
    else this.#o.log.warn('config.yaml was edited meanwhile and is left as it is');
    await this.#applier?.apply(planChange(failed.settings, confirmed.settings), confirmed.settings);
    this.#current = confirmed;
    await this.#remember(confirmed, 'revert', diffConfig(failed.written, confirmed.written));
    await this.#history.setPending(null);
    const { fingerprint } = confirmed;
    this.#applier?.tell({ type: 'rollback', fingerprint, from: failed.fingerprint, reason, author });
    this.#tell('revert', diffConfig(failed.written, confirmed.written));
  }

  #tell(author: string, changes: readonly KeyChange[]): void {
    const { fingerprint, config } = this.#current;
    this.#applier?.tell({ type: 'snapshot', fingerprint, author, changes, config });
  }

  async #remember(
    { fingerprint, ignored, text }: LoadedSettings,
    author: string,
    changes: readonly KeyChange[],
  ): Promise<void> {
    const parent = (await this.#history.latest())?.fingerprint ?? null;
    const utcMs = this.#o.clock.utcMs();
    const version = ignored.length > 0 ? null : this.#o.load.version;
    await this.#history.add({ fingerprint, parent, author, utcMs, changes: [...changes], text, version });
  }

  #fileText(): Promise<string | null> {
    return readText(pathOf(this.#o.load));
  }

  async #write(text: string): Promise<void> {
    if (text === ((await this.#fileText()) ?? '')) return;
    await writeConfig(pathOf(this.#o.load), text);
  }
}

/** A change on trial. */
class Trial {
  /** What to go back to. */
  readonly confirmed: LoadedSettings;
  /** Aborts when it is succeeded by another change, or the keeper closes. */
  readonly over = new AbortController();
  readonly #before: ReadonlyMap<string, HealthLevel>;
  readonly #touched: ReadonlySet<string>;

  constructor(
    confirmed: LoadedSettings,
    before: ReadonlyMap<string, HealthLevel>,
    touched: ReadonlySet<string> = new Set(),
  ) {
    this.confirmed = confirmed;
    this.#before = before;
    this.#touched = touched;
  }

  /** The same trial with one more change. */
  next({ steps }: ChangePlan): Trial {
    const parts = steps.map((step) => (step.kind === 'camera' ? `camera.${step.cameraId}` : step.service));
    return new Trial(this.confirmed, this.#before, new Set([...this.#touched, ...parts]));
  }

  /** A part that a change touched and that is worse off than before; null when there is none. */
  worse(now: ReadonlyMap<string, HealthLevel>): string | null {
    const rank = (level: HealthLevel): number => HEALTH_LEVELS.indexOf(level);
    for (const part of this.#touched) {
      const [before, is] = [this.#before.get(part), now.get(part)];
      if (before !== undefined && is !== undefined && rank(is) > rank(before)) return part;
    }
    return null;
  }
}

/** After a power cut within the confirm window: the text before the change, unless a person edited the file since. */
async function undoUnconfirmed(
  { load, log }: ConfigKeeperOptions,
  history: History,
): Promise<Omit<Extract<ConfigFact, { type: 'rollback' }>, 'fingerprint'> | null> {
  const pending = await history.pending();
  if (!pending) return null;
  const before = await history.find(pending.from);
  const now = await loadSettings(load).catch(() => null);
  const isTouched = now !== null && now.fingerprint !== pending.to;
  if (before && !isTouched && now?.fingerprint !== pending.from) {
    await writeConfig(pathOf(load), before.text);
    log.warn(pending, 'the last change of the configuration was never confirmed and is taken back');
  }
  await history.setPending(null);
  if (!before || isTouched) return null;
  const reason = new CodedError(
    'CONFIG_REVERTED',
    'the agent stopped before the change was confirmed',
  ).report();
  return { type: 'rollback', from: pending.to, reason, author: 'start' };
}

async function writeConfig(path: string, text: string): Promise<void> {
  try {
    const mode = await stat(path).then(
      ({ mode }) => mode & 0o777,
      () => 0o644,
    );
    await replaceFile(path, text, mode);
  } catch (error) {
    throw CodedError.from(error, 'CONFIG_NOT_WRITABLE');
  }
}

const pathOf = ({ configDir, configFile = 'config.yaml' }: LoadOptions): string =>
  join(configDir, configFile);
