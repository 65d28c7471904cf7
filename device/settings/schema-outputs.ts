/** The section `outputs` of config.yaml: who is told of what, and how. */
import { z } from 'zod';
import { ARM_MODES, WEEKDAYS } from '../contract/notify.ts';
import { help, httpUrl, id, whole, words } from './fields.ts';

/** `22:30`, `sunset`, `sunrise-30`: minutes after or before. */
const MOMENT = /^(([01]\d|2[0-3]):[0-5]\d|24:00|(sunrise|sunset)([+-]\d{1,3})?)$/;
const moment = z
  .string()
  .regex(MOMENT, 'must be like 22:30, sunset, or sunrise-30')
  .meta(help('Time of day, as 22:30, sunset or sunrise-30 (minutes)'));
const days = z
  .array(z.enum(WEEKDAYS))
  .min(1)
  .default([...WEEKDAYS])
  .meta(help('Days on which it begins; default: every day'));

const rateLimit = z.strictObject({
  max_events: whole(1, 10_000).default(5).meta(help('Per camera in this time')),
  per_seconds: whole(1, 86_400).default(60).meta(help('Length of that time')),
});

const route = z.strictObject({
  labels: z.array(words).default([]).meta(help('Only of these; empty: of all')),
  zones: z.array(id).default([]).meta(help('Only what entered one of these')),
  cameras: z.array(id).default([]).meta(help('Only of these')),
  arm_modes: z
    .array(z.enum(ARM_MODES))
    .default([])
    .meta(help('Only in these arm modes; in disarmed nothing is told in any case')),
  hours: z
    .array(z.strictObject({ days, from: moment, to: moment }))
    .max(32)
    .default([])
    .meta(help('Only in these hours; over midnight where `to` is earlier')),
});

/** What all channels have. */
const common = {
  enabled: z.boolean().default(false).meta(help('Tell people this way')),
  only: route.prefault({}).meta(help('What is told')),
  rate_limit: rateLimit
    .nullish()
    .meta(help('Messages per camera; more wait, and become a digest. null: outputs.rate_limit')),
};
const preview = (where: string) =>
  z
    .boolean()
    .default(false)
    .meta(help(`Cameras make a small animated picture of each event, ${where}`));
const caFile = words
  .nullish()
  .meta(
    help('PEM file of who vouches for the receiver, relative to this file; null: whom the system trusts'),
  );

export const outputs = z.strictObject({
  rate_limit: rateLimit
    .prefault({})
    .meta(help('Of event.snapshot.allowed, and of notifications where a channel has no limit of its own')),
  group_seconds: whole(0, 3600)
    .default(60)
    .meta(help('Events of any camera join an incident that is not quiet for longer')),
  fresh_seconds: whole(10, 86_400)
    .default(300)
    .meta(help('What waits for longer is told as one digest, after the newest incident')),
  max_waiting: whole(10, 5000)
    .default(500)
    .meta(help('Incidents that wait for a receiver; beyond it the oldest go into the digest')),
  time_zone: z
    .string()
    .refine(isTimeZone, 'must be like Europe/Rome')
    .nullish()
    .meta(help('Where the device stands, as Europe/Rome; null: that of the machine')),
  location: z
    .strictObject({ latitude: z.number().min(-90).max(90), longitude: z.number().min(-180).max(180) })
    .nullish()
    .meta(help('For sunrise and sunset; null: 6:00 and 18:00')),
  arm_schedule: z
    .array(z.strictObject({ days, at: moment, mode: z.enum(ARM_MODES) }))
    .max(64)
    .default([])
    .meta(help('When the arm mode switches by itself')),
  telegram: z
    .strictObject({
      ...common,
      api_root: httpUrl
        .default('https://api.telegram.org')
        .meta(help('Another Bot API server, without user name and password')),
      timeout_seconds: whole(1, 300).default(30).meta(help('For a request')),
      bot: z
        .strictObject({
          enabled: z.boolean().default(false).meta(help('Take commands in chats')),
          allow_group_commands: z
            .boolean()
            .default(false)
            .meta(help('Also in groups, from those who may command')),
          silent_unauthorized: z.boolean().default(true).meta(help('Strangers get no answer')),
          command_rate_limit: whole(1, 1000).default(10).meta(help('Commands of one user in a minute')),
        })
        .prefault({})
        .meta(help('Who may command is in secrets.yaml, under authentication')),
      preview: preview('shown until the clip is there'),
      max_file_size_mb: z.number().min(0).max(50).default(50).meta(help('Larger clips stay on the device')),
    })
    .prefault({})
    .meta(help('Token and chats are in secrets.yaml')),
  webhook: z
    .strictObject({
      ...common,
      require_https: z.boolean().default(true).meta(help('Never send to a plain http address')),
      ca_file: caFile,
      timeout_seconds: whole(1, 300).default(15).meta(help('For a request')),
      include_binary: z.boolean().default(false).meta(help('The best still goes along, in base64')),
      max_binary_mb: z.number().min(0).max(16).default(2).meta(help('Larger stills do not')),
    })
    .prefault({})
    .meta(help('Its address and secret are in secrets.yaml')),
  email: z
    .strictObject({
      ...common,
      smtp_host: words.nullish().meta(help('Mail server')),
      smtp_port: whole(1, 65_535).default(587).meta(help('465 with tls')),
      security: z
        .enum(['starttls', 'tls', 'none'])
        .default('starttls')
        .meta(help('starttls and tls never send in the clear; none is for a server on this machine')),
      ca_file: caFile,
      from: words.default('noreply@spyoncino.local').meta(help('Address of the sender')),
      recipients: z.array(words).max(50).default([]).meta(help('Addresses')),
      timeout_seconds: whole(1, 300).default(30).meta(help('For each step')),
      preview: preview('shown in the mail, which waits up to 15 s for it'),
      max_attachment_mb: z.number().min(0).max(25).default(5).meta(help('Larger stills stay on the device')),
    })
    .prefault({})
    .meta(help('User name and password are in secrets.yaml')),
  gpio: z
    .strictObject({
      ...common,
      outputs: z.array(id).max(16).default([]).meta(help('Ids of `gpio.outputs`: sirens, lights')),
    })
    .prefault({}),
  mqtt: z
    .strictObject({
      ...common,
      base_url: httpUrl
        .nullish()
        .meta(help('Before the paths of stills and clips, as https://attic.local:8443; null: paths alone')),
    })
    .prefault({})
    .meta(help('Incidents on the bus, and by its bridge on another broker: notify.mqtt.incident')),
});

/** secrets.yaml: what channels need, beside the names that the original system used. */
export const outputSecrets = {
  telegram: z
    .strictObject({
      token: words.nullish().meta(help('Of the bot, from BotFather')),
      chat_id: z
        .union([z.number().int(), words, z.array(z.union([z.number().int(), words])).max(50)])
        .nullish()
        .meta(help('The chat or chats that are told')),
    })
    .prefault({}),
  authentication: z
    .strictObject({
      setup_password: z
        .string()
        .min(10, 'must have 10 characters or more')
        .nullish()
        .meta(help('Who sends `/setup` with it to the Telegram bot first becomes its admin')),
      superuser_id: z.number().int().nullish().meta(help('Telegram id of the admin')),
      user_whitelist: z
        .array(z.number().int())
        .max(100)
        .default([])
        .meta(help('Telegram ids of who may command as operator')),
    })
    .prefault({}),
  webhook: z
    .strictObject({
      url: z
        .url({ protocol: /^https?$/ })
        .nullish()
        .meta(help('Where messages are posted')),
      secret: z
        .string()
        .min(16, 'must have 16 characters or more')
        .nullish()
        .meta(help('Signs every request')),
      headers: z.record(words, z.string()).default({}).meta(help('More headers')),
    })
    .prefault({}),
  email: z
    .strictObject({
      smtp_host: words.nullish().meta(help('Where outputs.email.smtp_host says nothing')),
      recipients: z.array(words).max(50).nullish().meta(help('Where outputs.email.recipients says nothing')),
      smtp_username: words.nullish().meta(help('Name at the mail server')),
      smtp_password: z.string().nullish().meta(help('Password there')),
    })
    .prefault({}),
};

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
