import { CodedError } from '../contract/errors.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Trouble } from '../contract/modules.ts';
import type { Clock } from '../kernel/clock.ts';

export interface MischiefOptions {
  readonly meter: Meter;
  readonly clock: Clock;
  /** Ends what is late. */
  readonly signal: AbortSignal;
  /** 0..1; injected so that tests can fix it. */
  readonly random?: () => number;
}

/** Trouble on purpose around looks, as the resilience tester asks for it. */
export class Mischief {
  readonly #o: MischiefOptions;
  #trouble: Trouble | null = null;

  constructor(options: MischiefOptions) {
    this.#o = options;
  }

  set(trouble: Trouble | null): void {
    this.#trouble = trouble;
  }

  /** null: it was lost, as if a newer request had taken its place. @throws CodedError RESILIENCE_INJECTED */
  async around<T>(look: () => Promise<T | null>): Promise<T | null> {
    const trouble = this.#trouble;
    if (!trouble) return await look();
    const { clock, meter, random = Math.random, signal } = this.#o;
    const isLost = random() < trouble.dropProbability;
    if (isLost || random() < trouble.errorProbability) {
      meter.count('spyoncino_drops_total', { stage: 'detect', reason: 'resilience' });
      if (isLost) return null;
      throw new CodedError('RESILIENCE_INJECTED', 'a look');
    }
    if (trouble.latencyMs > 0) await clock.sleep(trouble.latencyMs, signal).catch(() => {});
    return await look();
  }
}
