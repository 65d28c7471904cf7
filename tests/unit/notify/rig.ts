/** A lane on a real index, with a receiver that plays any part, and time that passes when the test says so. */
import { setImmediate as turn } from 'node:timers/promises';
import { noMeter } from '../../../device/contract/metrics.ts';
import type { IncidentEvent } from '../../../device/contract/notify.ts';
import type { Payload } from '../../../device/contract/topics.ts';
import { commitFacts, type IndexFact } from '../../../device/library/commit.ts';
import { getClip, getEvent } from '../../../device/library/lists.ts';
import { commitNotices, listAttempts, openNotices } from '../../../device/library/notices.ts';
import { outboxTake, registerConsumers } from '../../../device/library/outbox.ts';
import type { Clock } from '../../../device/kernel/clock.ts';
import type { Message, Receiver } from '../../../device/notify/delivery.ts';
import { Lane, type LanePolicy } from '../../../device/notify/lane.ts';
import { consumerOf } from '../../../device/notify/ledger.ts';
import { libraryRig, NOON_MS, silent, type LibraryRig } from '../library/rig.ts';

interface Sleeper {
  readonly untilMs: number;
  wake(): void;
}

/** For any number of loops: `advance` wakes each sleeper at its moment, and lets everybody do what follows. */
export class ManualClock implements Clock {
  nowMs = NOON_MS;
  readonly #sleepers = new Set<Sleeper>();

  utcMs(): number {
    return this.nowMs;
  }
  monotonicMs(): number {
    return this.nowMs;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper = { untilMs: this.nowMs + ms, wake: resolve };
    this.#sleepers.add(sleeper);
    const cut = (): void => {
      this.#sleepers.delete(sleeper);
      reject(signal?.reason as Error);
    };
    if (signal?.aborted) cut();
    else signal?.addEventListener('abort', cut, { once: true });
    return promise;
  }
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (;;) {
      await settle();
      const [next] = [...this.#sleepers].toSorted((a, b) => a.untilMs - b.untilMs);
      if (!next || next.untilMs > untilMs) break;
      this.#sleepers.delete(next);
      this.nowMs = Math.max(this.nowMs, next.untilMs);
      next.wake();
    }
    this.nowMs = untilMs;
    await settle();
  }
}

/** Nothing in the rig waits for anything but time, so a few turns of the loop see it through. */
async function settle(): Promise<void> {
  for (let i = 0; i < 12; i++) await turn();
}

export interface Delivered {
  readonly action: 'send' | 'edit';
  readonly atMs: number;
  readonly ref: string;
  readonly message: Message;
}

/** Takes messages, or does what `behave` says instead. */
export class PlayedReceiver {
  readonly taken: Delivered[] = [];
  behave: ((action: 'send' | 'edit', message: Message) => Promise<void>) | null = null;
  #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** First messages, as their receiver sees them. */
  get sent(): readonly Delivered[] {
    return this.taken.filter(({ action }) => action === 'send');
  }

  asReceiver(more: Partial<Receiver> = {}): Receiver {
    const take = async (action: 'send' | 'edit', ref: string, message: Message): Promise<string> => {
      await this.behave?.(action, message);
      this.taken.push({ action, atMs: this.#clock.utcMs(), ref, message });
      return ref;
    };
    return {
      send: (message) => take('send', `m${this.taken.length + 1}`, message),
      edit: (ref, message) => take('edit', ref, message),
      showsPreviews: false,
      settleMs: 0,
      editEveryMs: 3000,
      ...more,
    };
  }
}

export interface LaneRig extends AsyncDisposable {
  readonly clock: ManualClock;
  readonly receiver: PlayedReceiver;
  readonly published: { outcome: string; payload: Payload<'notify.webhook.sent'> }[];
  readonly library: LibraryRig;
  lane: Lane;
  /** Facts become durable, and lanes hear of it. */
  commit(...facts: IndexFact[]): Promise<void>;
  /** The agent is killed, and another starts on the same index. */
  kill(): Promise<void>;
  journal(): string[];
}

export async function laneRig(
  policy: Partial<LanePolicy> = {},
  receiverMore: Partial<Receiver> = {},
): Promise<LaneRig> {
  const library = await libraryRig();
  const clock = new ManualClock();
  const receiver = new PlayedReceiver(clock);
  const published: LaneRig['published'] = [];
  const consumer = consumerOf('lane');
  registerConsumers(library.context, { [consumer]: ['event.new', 'event.end', 'still', 'clip.ready'] });

  const start = (): Lane => {
    let isAlive = true;
    /** A process that is gone changes nothing any more. */
    const guard = <T>(work: () => T): Promise<T> =>
      isAlive ? Promise.resolve().then(work) : new Promise<never>(() => {});
    const context = () => library.context;
    const lane = new Lane({
      channel: 'webhook',
      name: 'lane',
      receiver: receiver.asReceiver(receiverMore),
      policy: {
        groupMs: 60_000,
        freshMs: 300_000,
        maxWaiting: 500,
        rateLimit: { maxEvents: 1000, perMs: 1000 },
        wants: (_event: IncidentEvent) => true,
        quiet: () => null,
        ...policy,
      },
      dataDir: library.dataDir,
      words: { nodeId: 'attic', timeZone: 'UTC', cameraName: (id) => id },
      store: {
        take: (name) => guard(() => outboxTake(context(), { consumer: name, limit: 50 })),
        event: (eventId) => guard(() => getEvent(context(), { eventId })),
        clip: (clipId) => guard(() => getClip(context(), { clipId })),
        materialise: (clipId) => guard(() => `media/${clipId}.mp4`),
        open: (name) => guard(() => openNotices(context(), { lane: name })),
        commit: (change) => guard(() => commitNotices(context(), change)),
      },
      hold: async () => {},
      publish: (outcome, payload) => isAlive && published.push({ outcome, payload }),
      meter: noMeter,
      clock,
      log: silent,
    });
    lane.start();
    die = () => (isAlive = false);
    return lane;
  };
  let die: () => void = () => {};
  const rig: LaneRig = {
    clock,
    receiver,
    published,
    library,
    lane: start(),
    async commit(...facts) {
      library.clock.nowMs = clock.nowMs;
      commitFacts(library.context, facts);
      rig.lane.wake();
      await clock.advance(0);
    },
    async kill() {
      die();
      await library.restart();
      registerConsumers(library.context, { [consumer]: ['event.new', 'event.end', 'still', 'clip.ready'] });
      rig.lane = start();
      await clock.advance(0);
    },
    journal: () =>
      listAttempts(library.context, { limit: 500 })
        .toReversed()
        .map(({ action, outcome, reason }) => [outcome, action, reason?.code].filter(Boolean).join(' ')),
    async [Symbol.asyncDispose]() {
      die();
      await library[Symbol.asyncDispose]();
    },
  };
  await clock.advance(0);
  return rig;
}
