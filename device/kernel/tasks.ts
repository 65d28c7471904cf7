/**
 * Owns background work. Nothing runs loose: every promise has a name here, a failure reaches `onFailure`
 * exactly once, and `settle` waits for all.
 */
export class TaskSet {
  readonly #running = new Map<Promise<void>, string>();
  readonly #onFailure: (name: string, error: unknown) => void;

  constructor(onFailure: (name: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  run(name: string, work: () => Promise<void>): void {
    const task = work()
      .catch((error: unknown) => this.#onFailure(name, error))
      .finally(() => this.#running.delete(task));
    this.#running.set(task, name);
  }

  /** Names of what still runs, for diagnostics. */
  get names(): readonly string[] {
    return [...this.#running.values()];
  }

  /** Resolves when nothing runs any more, including work that running work starts. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.keys());
  }
}
