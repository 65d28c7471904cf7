import type { EventFact, EventState } from './contract/facts.ts';
import type { Clock } from './kernel/clock.ts';
import type { TaskSet } from './kernel/tasks.ts';

export interface TestEventsOptions {
  readonly cameraId: string;
  readonly run: string;
  readonly emit: (fact: EventFact) => void;
  readonly tasks: TaskSet;
  readonly clock: Clock;
  /** Aborts when the camera stops: events that go on end there. */
  readonly signal: AbortSignal;
}

/** Events that nobody saw, so that an operator can try what follows from one: clip, notification, upload. */
export class TestEvents {
  readonly #o: TestEventsOptions;
  #count = 0;

  constructor(options: TestEventsOptions) {
    this.#o = options;
  }

  /** The id of the event, which has begun. */
  begin(label: string, durationMs: number): string {
    const { cameraId, clock, emit, run, signal, tasks } = this.#o;
    const startUtcMs = clock.utcMs();
    const state: EventState = {
      eventId: `${new Date(startUtcMs).toISOString().replaceAll(/[-:]/g, '')}-${run}-test${++this.#count}`,
      cameraId,
      trackId: 0,
      label,
      score: 1,
      topScore: 1,
      box: [0, 0, 1, 1],
      zones: [],
      enteredZones: [],
      stationary: false,
      startUtcMs,
      lastSeenUtcMs: startUtcMs,
      endUtcMs: null,
      endReason: null,
      best: { utcMs: startUtcMs, mediaMs: 0, box: [0, 0, 1, 1], score: 1 },
      stillPath: null,
      startMediaMs: 0,
      lastSeenMediaMs: 0,
    };
    emit({ type: 'event', phase: 'new', event: state, frameArrivedUtcMs: startUtcMs });
    tasks.run('test event', async () => {
      const isWhole = await clock.sleep(durationMs, signal).then(
        () => true,
        () => false,
      );
      const endUtcMs = clock.utcMs();
      const event: EventState = {
        ...state,
        lastSeenUtcMs: endUtcMs,
        endUtcMs,
        endReason: isWhole ? 'gone' : 'interrupted',
      };
      emit({ type: 'event', phase: 'end', event, frameArrivedUtcMs: endUtcMs });
    });
    return state.eventId;
  }
}
