import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { Module, ModuleHealth, ModulePausing } from '../contract/modules.ts';
import { notifierId, type ChannelName, type Notice, type NotifySettings } from '../contract/notify.ts';
import type { Pulse } from './gpio.ts';
import { Lane, type LaneOptions, type LanePolicy } from './lane.ts';
import type { CardPort } from './mqtt.ts';
import { receiversOf, type Receivers } from './receivers.ts';

export interface NotifierOptions extends Omit<LaneOptions, 'channel' | 'name' | 'receiver' | 'policy'> {
  readonly channel: ChannelName;
  readonly pulse: Pulse;
  readonly card: CardPort;
  /** This node only stands by: another one tells. */
  readonly isStandby: boolean;
}

/** What lanes go by, but for what the notifier itself adds. */
export type PolicyOf = (settings: NotifySettings, channel: ChannelName) => Omit<LanePolicy, 'quiet'>;

/** One way by which people are told, as a module of the agent: its lanes, one for each receiver. */
export class Notifier implements Module, ModulePausing {
  readonly id: string;
  readonly instance = null;
  readonly pausing = this;
  readonly #o: NotifierOptions;
  readonly #lanes = new Map<string, Lane>();
  #receivers: Receivers = { byName: new Map(), trouble: null };
  #isEnabled = false;
  #isPaused = false;
  #identity = '';

  constructor(options: NotifierOptions) {
    this.#o = options;
    this.id = notifierId(options.channel);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** What waits, and what happens until it is resumed, is never told: that sheds the load. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.wake();
  }

  get laneNames(): readonly string[] {
    return [...this.#lanes.keys()];
  }

  previewed(eventId: string, path: string): void {
    for (const lane of this.#lanes.values()) lane.previewed(eventId, path);
  }

  wake(): void {
    for (const lane of this.#lanes.values()) lane.wake();
  }

  /** Lanes whose receiver stays the same go on; what waits for the others waits in the index. */
  async configure(settings: NotifySettings, policyOf: PolicyOf): Promise<void> {
    const { channel } = this.#o;
    const { route: _route, rateLimit: _rateLimit, ...own } = settings[channel];
    const policy: LanePolicy = { ...policyOf(settings, channel), quiet: () => this.#quiet() };
    const identity = JSON.stringify(own);
    this.#isEnabled = own.enabled;
    if (identity === this.#identity) {
      for (const lane of this.#lanes.values()) lane.configure(policy);
      return;
    }
    this.#identity = identity;
    await this.stop();
    this.#receivers = own.enabled
      ? receiversOf(settings, channel, this.#o)
      : { byName: new Map(), trouble: null };
    for (const [name, receiver] of this.#receivers.byName) {
      const lane = new Lane({ ...this.#o, name, receiver, policy });
      this.#lanes.set(name, lane);
      lane.start();
    }
  }

  health(): ModuleHealth {
    const lanes = [...this.#lanes.values()];
    const details = { lanes: Object.fromEntries(lanes.map((lane) => [lane.name, lane.details])) };
    if (!this.#isEnabled) return { status: 'disabled', reasons: [], details };
    const quiet = this.#quiet();
    if (quiet) return { status: 'disabled', reasons: [quiet], details };
    const { trouble } = this.#receivers;
    const reasons = [...(trouble ? [trouble] : []), ...lanes.flatMap(({ failure }) => failure ?? [])];
    return { status: reasons.length === 0 ? 'healthy' : 'degraded', reasons, details };
  }

  /** What each receiver says to a message that nobody waits for: null when it takes it. */
  async test(notice: Notice): Promise<ReadonlyMap<string, ErrorReport | null>> {
    const trouble = this.#receivers.trouble ?? (this.#o.isStandby ? this.#quiet() : null);
    if (trouble) throw CodedError.of(trouble);
    const answers = [...this.#lanes.values()].map(async (lane): Promise<[string, ErrorReport | null]> => [
      lane.name,
      await lane.test(notice).then(
        () => null,
        (error: unknown) => CodedError.from(error, 'NOTIFY_FAILED').report(),
      ),
    ]);
    return new Map(await Promise.all(answers));
  }

  async stop(): Promise<void> {
    const lanes = [...this.#lanes.values()];
    this.#lanes.clear();
    await Promise.all(lanes.map((lane) => lane.stop()));
  }

  #quiet(): ErrorReport | null {
    if (this.#o.isStandby) return new CodedError('NOTIFY_STANDBY').report();
    return this.#isPaused ? new CodedError('NOTIFY_PAUSED').report() : null;
  }
}
