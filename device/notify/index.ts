import type { ErrorReport } from '../contract/errors.ts';
import type { PreviewFact } from '../contract/facts.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Module } from '../contract/modules.ts';
import {
  CHANNELS,
  notifierId,
  type ChannelName,
  type Notice,
  type NotifySettings,
} from '../contract/notify.ts';
import type { Payload } from '../contract/topics.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { ArmKeeper } from './arm.ts';
import type { Pulse } from './gpio.ts';
import { consumerOf, type NoticeStore } from './ledger.ts';
import type { CardPort } from './mqtt.ts';
import { Notifier, type PolicyOf } from './notifier.ts';
import { isTold } from './routing.ts';
import { newNotice } from './steps.ts';

export { BotAccess } from './bot/access.ts';
export { TelegramBot } from './bot/bot.ts';
export type { NoticeStore, OutboxItem } from './ledger.ts';
export { signatureOf } from './webhook.ts';

type Outcome = 'queued' | 'sent' | 'failed';

export interface NotifyOptions {
  readonly settings: NotifySettings;
  readonly nodeId: string;
  readonly dataDir: string;
  readonly stateDir: string;
  readonly cameraName: (cameraId: string) => string;
  readonly store: NoticeStore & { prune(beforeUtcMs: number, keepAttempts: number): Promise<void> };
  /** Who takes from the outbox is not the same as before. */
  readonly onConsumers: () => void;
  readonly hold: (channel: ChannelName, signal: AbortSignal) => Promise<void>;
  /** Runs a GPIO output. */
  readonly pulse: Pulse;
  readonly publish: (
    topic: `notify.${ChannelName}.${Outcome}`,
    payload: Payload<'notify.webhook.sent'>,
  ) => void;
  /** Incidents for those who read the bus. */
  readonly card: CardPort;
  readonly publishArm: (state: Payload<'status.arm'>) => void;
  /** Another node tells people; this one only could. */
  readonly isStandby: boolean;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

const PRUNE_EVERY_MS = 3_600_000;
const KEEP_MS = 7 * 86_400_000;
const KEEP_ATTEMPTS = 20_000;

/** Tells people what happened: who, of what, by which way, once. */
export class Notify {
  readonly arm: ArmKeeper;
  readonly #o: NotifyOptions;
  readonly #notifiers: readonly Notifier[];
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;

  private constructor(options: NotifyOptions, arm: ArmKeeper) {
    const { card, clock, dataDir, hold, isStandby, log, meter, nodeId, publish, pulse, settings, store } =
      options;
    this.#o = options;
    this.arm = arm;
    this.#tasks = new TaskSet((name, error) =>
      log.warn({ err: error, task: name }, 'it will be tried again'),
    );
    const words = { nodeId, timeZone: settings.place.timeZone, cameraName: options.cameraName };
    this.#notifiers = CHANNELS.map(
      (channel) =>
        new Notifier({
          ...{ card, channel, dataDir, hold, isStandby, pulse, words, store, meter, clock, log },
          publish: (outcome, payload) => publish(`notify.${channel}.${outcome}`, payload),
        }),
    );
  }

  static async open(options: NotifyOptions): Promise<Notify> {
    const { stateDir, settings, publishArm, clock, log } = options;
    return new Notify(options, await ArmKeeper.open({ stateDir, settings, publish: publishArm, clock, log }));
  }

  async start(): Promise<void> {
    this.arm.start();
    await this.#configure(this.#o.settings);
    this.#tasks.run('forget old notifications', () => this.#prune());
  }

  get modules(): readonly Module[] {
    return this.#notifiers;
  }

  /** By these names receivers take from the outbox. */
  get consumers(): readonly string[] {
    return this.#notifiers.flatMap(({ laneNames }) => laneNames.map(consumerOf));
  }

  /** Something has happened. */
  wake(): void {
    for (const notifier of this.#notifiers) notifier.wake();
  }

  /** There is an animated picture of an event. */
  previewed({ eventId, path }: Pick<PreviewFact, 'eventId' | 'path'>): void {
    for (const notifier of this.#notifiers) notifier.previewed(eventId, path);
  }

  async configure(settings: NotifySettings): Promise<void> {
    this.arm.configure(settings);
    await this.#configure(settings);
  }

  /** What every receiver says to a test, by channel; of `channel` alone where it is given. */
  async test(
    channel: ChannelName | null,
  ): Promise<readonly { readonly target: string; readonly error: ErrorReport | null }[]> {
    const notifiers = this.#notifiers.filter(({ id }) => channel === null || id === notifierId(channel));
    const enabled = notifiers.filter((each) => channel !== null || each.health().status !== 'disabled');
    const notice = testNotice(this.#o.clock.utcMs());
    const answers = await Promise.all(enabled.map((each) => each.test(notice)));
    return answers.flatMap((byTarget) => Array.from(byTarget, ([target, error]) => ({ target, error })));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.arm.stop(), ...this.#notifiers.map((notifier) => notifier.stop())]);
    await this.#tasks.settle();
  }

  async #configure(settings: NotifySettings): Promise<void> {
    await Promise.all(this.#notifiers.map((notifier) => notifier.configure(settings, this.#policyOf)));
    this.#o.onConsumers();
  }

  #policyOf: PolicyOf = ({ groupMs, freshMs, maxWaiting, ...settings }, channel) => {
    const { rateLimit, route } = settings[channel];
    return {
      ...{ groupMs, freshMs, maxWaiting, rateLimit },
      wants: (event) => isTold(route, event, this.arm.at(event.startUtcMs)),
    };
  };

  async #prune(): Promise<void> {
    const { clock, log, store } = this.#o;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await store
        .prune(clock.utcMs() - KEEP_MS, KEEP_ATTEMPTS)
        .catch((error: unknown) => log.debug({ err: error }, 'old notifications are forgotten later'));
      await clock.sleep(PRUNE_EVERY_MS, signal).catch(() => {});
    }
  }
}

const testNotice = (nowUtcMs: number): Notice => ({
  ...newNotice(
    `test-${nowUtcMs.toString(36)}`,
    { kind: 'digest', incidents: 0, startUtcMs: nowUtcMs, endUtcMs: nowUtcMs, events: {} },
    nowUtcMs,
  ),
  tries: 1,
});
