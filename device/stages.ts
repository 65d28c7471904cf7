import type { Bus } from './bus/index.ts';

/** What stops one after the other, in this order. */
const SHUTDOWN = ['inputs', 'storage', 'process', 'outputs', 'analytics'] as const;

/** Defers the end of a part to the end of `building`, where it is told as `status.shutdown.progress`. */
export const stagesOf =
  (building: AsyncDisposableStack, bus: Pick<Bus, 'publish'>) =>
  (phase: (typeof SHUTDOWN)[number], end: () => PromiseLike<void>): void =>
    building.defer(async () => {
      const tell = (status: 'starting' | 'completed'): void =>
        bus.publish('status.shutdown.progress', {
          phase,
          phase_index: SHUTDOWN.indexOf(phase),
          total_phases: SHUTDOWN.length,
          module: null,
          status,
          message: null,
        });
      tell('starting');
      await end();
      tell('completed');
    });

/** Resolves `done` once each of `names` has said something. */
export function whenAllHaveSaid(names: readonly string[]): { done: Promise<void>; said(name: string): void } {
  const waiting = new Set(names);
  const { promise, resolve } = Promise.withResolvers<void>();
  if (waiting.size === 0) resolve();
  return {
    done: promise,
    said(name) {
      if (waiting.delete(name) && waiting.size === 0) resolve();
    },
  };
}
