/** Delays between attempts, growing from `firstMs` to `maxMs`, each jittered over its upper half. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** 0..1; injected so that tests can fix it. */
  readonly random?: () => number;
}

/**
 * An endless schedule. Take a fresh one per outage, so that one outage's patience never costs the next.
 * "Equal jitter" of AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
 */
export function* backoff({ firstMs, maxMs, random = Math.random }: BackoffOptions): Generator<number, never> {
  for (let ceiling = firstMs; ; ceiling = Math.min(maxMs, ceiling * 2)) {
    yield ceiling / 2 + random() * (ceiling / 2);
  }
}
