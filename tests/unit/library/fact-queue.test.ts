import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { IndexFact } from '../../../device/library/commit.ts';
import { FactQueue, type WaitingFact } from '../../../device/library/fact-queue.ts';
import { event, segment } from './rig.ts';

const LIMIT = 5;

/** What is done with a queue: events come anew or again, segments come, batches are taken and lost or kept. */
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('event' as const), id: fc.nat(3) }),
    fc.record({ do: fc.constant('segment' as const) }),
    fc.record({
      do: fc.constant('take' as const),
      limit: fc.integer({ min: 1, max: 4 }),
      isLost: fc.boolean(),
    }),
  ),
);

test('whatever happens, the newest state of each event and every segment leave in order, or are given up', () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const dropped: IndexFact[] = [];
      const queue = new FactQueue(LIMIT, (fact) => dropped.push(fact));
      const committed: IndexFact[] = [];
      const added: IndexFact[] = [];
      let done = 0;
      const add = (fact: IndexFact): void => {
        added.push(fact);
        queue.add({ fact, done: () => done++ });
        expect(queue.size).toBeLessThanOrEqual(LIMIT);
      };
      const commit = (taken: readonly WaitingFact[]): void => {
        for (const { fact, done } of taken) {
          committed.push(fact);
          done(null);
        }
      };
      for (const [i, step] of steps.entries()) {
        if (step.do === 'event') add({ type: 'event', event: event(`e${step.id}`, { trackId: i }) });
        if (step.do === 'segment') add(segment(`s${i}`));
        if (step.do === 'take') {
          const taken = queue.take(step.limit);
          expect(taken.length).toBeLessThanOrEqual(step.limit);
          if (step.isLost) queue.putBack(taken);
          else commit(taken);
        }
      }
      commit(queue.take(Infinity));

      const segments = (facts: readonly IndexFact[]) => facts.filter(({ type }) => type === 'segment.ready');
      expect(segments(committed)).toEqual(segments(added).filter((fact) => !dropped.includes(fact)));
      for (const id of ['e0', 'e1', 'e2', 'e3']) {
        const ofEvent = (facts: readonly IndexFact[]) =>
          facts.filter((fact) => fact.type === 'event' && fact.event.eventId === id);
        const last = ofEvent(added).at(-1);
        if (last && !dropped.includes(last)) expect(ofEvent(committed).at(-1)).toBe(last);
      }
      // Nobody waits for ever.
      expect(done).toBe(added.length);
    }),
  );
});
