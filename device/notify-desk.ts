import type { Bus, ResilienceTester } from './bus/index.ts';
import type { Meter } from './contract/metrics.ts';
import { notifierId, type BotSettings } from './contract/notify.ts';
import type { Door } from './contract/commands.ts';
import { CodedError } from './contract/errors.ts';
import type { Module } from './contract/modules.ts';
import type { GpioDesk } from './gpio-desk.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { makePicture } from './kernel/pictures.ts';
import type { Consumers, Library, OutboxKind } from './library/index.ts';
import { Slot } from './kernel/slot.ts';
import { Notify, TelegramBot, type BotAccess } from './notify/index.ts';
import type { ConfigKeeper } from './settings/index.ts';

export interface NotifyDeskOptions {
  readonly config: ConfigKeeper;
  readonly library: Library;
  readonly bus: Pick<Bus, 'publish'>;
  readonly gpio: GpioDesk;
  /** null while it is not loaded. */
  readonly tester: ResilienceTester | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stateDir: string;
  /** `consumersOf` says something else than before. */
  readonly onConsumers: () => void;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

/** What becomes messages. */
const KINDS: readonly OutboxKind[] = ['event.new', 'event.end', 'still', 'clip.ready'];
/** Taken at a time. */
const LIMIT = 50;

/** Joins the notifications with the library's outbox and the bus. */
export function openNotify({
  config,
  library,
  bus,
  gpio,
  env,
  tester,
  ...rest
}: NotifyDeskOptions): Promise<Notify> {
  const { settings } = config.current;
  return Notify.open({
    ...rest,
    settings: settings.outputs.notify,
    nodeId: settings.nodeId,
    dataDir: settings.dataDir,
    cameraName: (cameraId) =>
      config.current.settings.cameras.find((camera) => camera.cameraId === cameraId)?.name ?? cameraId,
    hold: async (channel, signal) => tester?.hold(`notify.${channel}.send`, notifierId(channel), signal),
    pulse: (output) => gpio.tell(output),
    isStandby: isStandby(env),
    store: {
      take: (consumer) => library.ask('outboxTake', { consumer, limit: LIMIT }),
      event: (eventId) => library.ask('getEvent', { eventId }),
      clip: (clipId) => library.ask('getClip', { clipId }),
      materialise: async (clipId) => (await library.ask('materialiseClip', clipId)).path,
      open: (lane) => library.ask('openNotices', { lane }),
      commit: (change) => library.ask('commitNotices', change),
      prune: (beforeUtcMs, keepAttempts) => library.ask('pruneNotices', { beforeUtcMs, keepAttempts }),
    },
    publish: (topic, payload) => bus.publish<'notify.webhook.sent'>(topic as 'notify.webhook.sent', payload),
    card: {
      incident(card) {
        bus.publish('notify.mqtt.incident', card);
        bus.publish('notify.mqtt.latest', card);
      },
      digest: (card) => bus.publish('notify.mqtt.digest', card),
    },
    publishArm: (state) => bus.publish('status.arm', state),
  });
}

/** What notifications want to be told of by the outbox, under the names of their receivers. */
export const consumersOf = ({ consumers }: Notify): Consumers =>
  Object.fromEntries(consumers.map((name) => [name, KINDS]));

const isStandby = (env: NotifyDeskOptions['env']): boolean => env['SPYONCINO_STANDBY'] === '1';

export interface BotDeskOptions extends Pick<NotifyDeskOptions, 'config' | 'env' | 'clock' | 'log'> {
  readonly access: BotAccess;
  readonly door: Door;
}

/** The bot in a slot, in which it can be built anew or paused, as a module of the agent. */
export class BotDesk {
  readonly module: Module;
  readonly #access: BotAccess;
  readonly #slot: Slot<BotSettings, TelegramBot>;

  constructor({ config, env, access, door, clock, log }: BotDeskOptions) {
    const { settings } = config.current;
    const quiet = isStandby(env) ? new CodedError('NOTIFY_STANDBY').report() : null;
    this.#access = access;
    const slot = new Slot<BotSettings, TelegramBot>(
      settings.outputs.notify.bot,
      (now) =>
        new TelegramBot({
          settings: now,
          ...{ access, door, quiet, clock, log },
          draw: (svg, signal) => makePicture({ kind: 'svg' }, Buffer.from(svg), signal),
          dataDir: settings.dataDir,
          cameras: () => config.current.settings.cameras.map(({ cameraId }) => cameraId),
        }),
    );
    this.#slot = slot;
    this.module = {
      id: 'modules.dashboard.telegram_bot',
      instance: null,
      pausing: slot,
      health: () => slot.part?.health() ?? { status: 'disabled', reasons: [], details: {} },
    };
  }

  start(): void {
    this.#slot.start();
  }

  async configure(settings: BotSettings): Promise<void> {
    this.#access.configure(settings);
    if (JSON.stringify(settings) !== JSON.stringify(this.#slot.settings)) await this.#slot.restart(settings);
  }

  stop(): Promise<void> {
    return this.#slot.stop();
  }
}
