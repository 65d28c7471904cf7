import { Turns } from './turns.ts';

/** What can stand in a slot. `stop` finishes what is open; a stopped part is never started again. */
export interface Part {
  start(): void;
  stop(): Promise<void>;
}

const MAX_WAITING = 16;

/**
 * Holds a part of the agent that can be built anew on other settings, and be paused. One thing at a time;
 * at most one part lives.
 */
export class Slot<Settings, P extends Part> {
  readonly #make: (settings: Settings) => P;
  readonly #turns = new Turns(MAX_WAITING);
  #settings: Settings;
  #part: P | null = null;
  #isPaused: boolean;
  #isOver = false;

  /** With `isPaused` it begins paused: nothing is built until it is resumed. */
  constructor(settings: Settings, make: (settings: Settings) => P, isPaused = false) {
    this.#settings = settings;
    this.#make = make;
    this.#isPaused = isPaused;
  }

  /** null while it is paused, and outside of its life. */
  get part(): P | null {
    return this.#part;
  }

  get settings(): Settings {
    return this.#settings;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  start(): void {
    if (this.#isPaused || this.#isOver) return;
    this.#part = this.#make(this.#settings);
    this.#part.start();
  }

  /** From the next time it is built on. */
  adjust(settings: Settings): void {
    this.#settings = settings;
  }

  /** Builds it anew; a paused one is built when it is resumed. */
  async restart(settings: Settings): Promise<void> {
    await this.#turns.take(async () => {
      this.#settings = settings;
      await this.#end();
      this.start();
    });
  }

  async setPaused(isPaused: boolean): Promise<void> {
    await this.#turns.take(async () => {
      if (this.#isPaused === isPaused) return;
      this.#isPaused = isPaused;
      if (isPaused) await this.#end();
      else this.start();
    });
  }

  /** For good. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#turns.take(() => this.#end());
  }

  async #end(): Promise<void> {
    const part = this.#part;
    this.#part = null;
    await part?.stop();
  }
}
