import { resolve } from 'node:path';
import type { DayMoment, NotifySettings, RouteSettings } from '../contract/notify.ts';
import type { Config, Secrets } from './schema.ts';

const MB = 1_000_000;

export function resolveNotify(
  { outputs }: Pick<Config, 'outputs'>,
  secrets: Secrets,
  configDir: string,
): NotifySettings {
  const { telegram, webhook, email, mqtt, gpio } = outputs;
  const common = ({
    enabled,
    only,
    rate_limit,
  }: Pick<typeof telegram, 'enabled' | 'only' | 'rate_limit'>) => {
    const { max_events, per_seconds } = rate_limit ?? outputs.rate_limit;
    return {
      enabled,
      route: resolveRoute(only),
      rateLimit: { maxEvents: max_events, perMs: per_seconds * 1000 },
    };
  };
  const file = (path: string | null | undefined): string | null => (path ? resolve(configDir, path) : null);
  return {
    groupMs: outputs.group_seconds * 1000,
    freshMs: outputs.fresh_seconds * 1000,
    maxWaiting: outputs.max_waiting,
    place: { timeZone: outputs.time_zone ?? null, location: outputs.location ?? null },
    armSwitches: outputs.arm_schedule.map(({ days, at, mode }) => ({ days, at: momentOf(at), mode })),
    bot: {
      enabled: telegram.bot.enabled,
      token: secrets.telegram.token ?? null,
      apiRoot: telegram.api_root,
      timeZone: outputs.time_zone ?? null,
      allowGroups: telegram.bot.allow_group_commands,
      isSilent: telegram.bot.silent_unauthorized,
      rateLimit: { maxEvents: telegram.bot.command_rate_limit, perMs: 60_000 },
      setupPassword: secrets.authentication.setup_password ?? null,
      superuserId: secrets.authentication.superuser_id ?? null,
      userIds: secrets.authentication.user_whitelist,
    },
    telegram: {
      ...common(telegram),
      token: secrets.telegram.token ?? null,
      apiRoot: telegram.api_root,
      chatIds: [secrets.telegram.chat_id ?? []].flat().map(String),
      timeoutMs: telegram.timeout_seconds * 1000,
      maxFileBytes: telegram.max_file_size_mb * MB,
      preview: telegram.preview,
    },
    webhook: {
      ...common(webhook),
      url: secrets.webhook.url ?? null,
      secret: secrets.webhook.secret ?? null,
      headers: secrets.webhook.headers,
      requireHttps: webhook.require_https,
      caFile: file(webhook.ca_file),
      timeoutMs: webhook.timeout_seconds * 1000,
      maxBinaryBytes: webhook.include_binary ? webhook.max_binary_mb * MB : 0,
    },
    email: {
      ...common(email),
      host: email.smtp_host ?? secrets.email.smtp_host ?? null,
      port: email.smtp_port,
      security: email.security,
      caFile: file(email.ca_file),
      username: secrets.email.smtp_username ?? null,
      password: secrets.email.smtp_password ?? null,
      from: email.from,
      recipients: email.recipients.length > 0 ? email.recipients : (secrets.email.recipients ?? []),
      timeoutMs: email.timeout_seconds * 1000,
      maxAttachmentBytes: email.max_attachment_mb * MB,
      preview: email.preview,
    },
    gpio: { ...common(gpio), outputs: gpio.outputs },
    mqtt: { ...common(mqtt), baseUrl: mqtt.base_url?.replace(/\/+$/, '') ?? null },
  };
}

/** Whether a channel shows animated pictures of this camera. */
export const wantsPreviews = ({ telegram, email }: Config['outputs'], cameraId: string): boolean =>
  [telegram, email].some(
    ({ preview, only: { cameras } }) => preview && (cameras.length === 0 || cameras.includes(cameraId)),
  );

const resolveRoute = (only: Config['outputs']['webhook']['only']): RouteSettings => ({
  labels: only.labels,
  zones: only.zones,
  cameras: only.cameras,
  armModes: only.arm_modes,
  hours: only.hours.map(({ days, from, to }) => ({ days, from: momentOf(from), to: momentOf(to) })),
});

/** As the schema lets it through. */
function momentOf(text: string): DayMoment {
  const sun = /^(sunrise|sunset)([+-]\d+)?$/.exec(text);
  if (sun) return { from: sun[1] as 'sunrise' | 'sunset', minutes: Number(sun[2] ?? 0) };
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  return { from: 'midnight', minutes: hours * 60 + minutes };
}
