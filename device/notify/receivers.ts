import { createHash } from 'node:crypto';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { ChannelName, NotifySettings } from '../contract/notify.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Receiver } from './delivery.ts';
import { gpioReceiver, type Pulse } from './gpio.ts';
import { emailReceiver } from './email.ts';
import { mqttReceiver, type CardPort } from './mqtt.ts';
import { telegramReceiver } from './telegram.ts';
import { webhookReceiver } from './webhook.ts';

export interface Receivers {
  /** By the name of their lane. */
  readonly byName: ReadonlyMap<string, Receiver>;
  /** What is missing. */
  readonly trouble: ErrorReport | null;
}

export interface ReceiverPorts {
  readonly clock: Clock;
  readonly card: CardPort;
  readonly pulse: Pulse;
}

type Find = (settings: NotifySettings, ports: ReceiverPorts) => Receivers;

const FIND: Readonly<Record<ChannelName, Find>> = {
  webhook({ webhook }, { clock }) {
    const { url } = webhook;
    if (url === null) return missing('webhook.url in secrets.yaml');
    return found([['webhook', webhookReceiver({ ...webhook, url }, clock)]]);
  },
  telegram({ telegram }) {
    const { token, chatIds } = telegram;
    if (token === null) return missing('telegram.token in secrets.yaml');
    if (chatIds.length === 0) return missing('telegram.chat_id in secrets.yaml');
    return found(
      chatIds.map((chatId) => [
        `telegram-${shortHash(chatId)}`,
        telegramReceiver({ ...telegram, token }, chatId),
      ]),
    );
  },
  email({ email }) {
    const { host, recipients } = email;
    if (host === null) return missing('outputs.email.smtp_host in config.yaml');
    if (recipients.length === 0) return missing('outputs.email.recipients in config.yaml');
    return found([['email', emailReceiver({ ...email, host })]]);
  },
  mqtt: ({ mqtt }, { card }) => found([['mqtt', mqttReceiver(mqtt, card)]]),
  gpio({ gpio: { outputs } }, { pulse }) {
    if (outputs.length === 0) return missing('outputs.gpio.outputs in config.yaml');
    return found(outputs.map((output) => [`gpio-${output}`, gpioReceiver(output, pulse)]));
  },
};

/** Everybody that a channel tells, as the settings say. */
export const receiversOf = (
  settings: NotifySettings,
  channel: ChannelName,
  ports: ReceiverPorts,
): Receivers => FIND[channel](settings, ports);

/** The name of a lane stays the same when others are added, and says nothing of whose chat it is. */
const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);

const found = (receivers: readonly (readonly [string, Receiver])[]): Receivers => ({
  byName: new Map(receivers),
  trouble: null,
});

const missing = (what: string): Receivers => ({
  byName: new Map(),
  trouble: new CodedError('NOTIFY_UNCONFIGURED', `missing: ${what}`).report(),
});
