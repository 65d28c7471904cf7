/** The section `bus` of config.yaml. */
import { z } from 'zod';
import { ROLES } from '../contract/access.ts';
import { help, httpUrl, mqttUrl, port, topicGlob, whole, words } from './fields.ts';

/** Not the numbers that come every few seconds: while the other broker is away, they would push out the rest. */
const PASSED_ON = [
  ...['event.*', 'motion.*', 'clip.*', 'storage.*', 'config.rejected', 'config.rollback'],
  ...['status.availability', 'status.camera.*', 'status.detector', 'status.health.summary'],
  ...['dashboard.control.result', 'notify.mqtt.incident', 'notify.mqtt.latest', 'notify.mqtt.digest'],
];

const bridge = z.strictObject({
  url: mqttUrl.meta(
    help('Another MQTT broker, `mqtt://host[:port]` or `mqtts://…`, without user name and password'),
  ),
  topics: z
    .array(topicGlob)
    .min(1)
    .max(64)
    .default(PASSED_ON)
    .meta(help('What is passed on, e.g. `event.*`')),
  username: words.nullish().meta(help('Name there; the password goes into secrets.yaml')),
  ca_file: words
    .nullish()
    .meta(help('PEM file of who vouches for it, relative to this file; null: whom the system trusts')),
  commands_as: z
    .enum(ROLES)
    .nullish()
    .meta(
      help('Role here of everybody who may publish commands there; null: nobody there can ask for anything'),
    ),
  max_messages: whole(1, 1_000_000)
    .default(10_000)
    .meta(help('Kept while it cannot be reached; then the oldest goes')),
  max_mb: whole(1, 1024).default(16).meta(help('The same in size')),
});

export const bus = z.strictObject({
  host: words
    .default('127.0.0.1')
    .meta(help('Address the MQTT broker listens on. From other machines a user name is needed')),
  port: port.default(1883).meta(help('0: any free port')),
  anonymous: z
    .enum(['read', 'none'])
    .default('read')
    .meta(
      help('read: programs on this machine may read without a name. none: nobody may anything without one'),
    ),
  tls: z
    .strictObject({
      enabled: z.boolean().default(false).meta(help('Also listen with TLS')),
      host: words.default('0.0.0.0').meta(help('Address of that')),
      port: port.default(8883).meta(help('0: any free port')),
      client_certificates: z
        .enum(['none', 'optional', 'required'])
        .default('none')
        .meta(help('Whether a certificate that the CA signed may (optional) or must name the client')),
    })
    .prefault({}),
  limits: z
    .strictObject({
      connections: whole(1, 10_000).default(256).meta(help('At a time; more are refused')),
      connections_per_address: whole(1, 10_000).default(64).meta(help('The same from one address')),
      packet_kb: whole(1, 16_384).default(256).meta(help('Largest packet a client may send')),
      packets_per_second: whole(1, 100_000)
        .default(100)
        .meta(help('Taken from one client; what is more waits')),
    })
    .prefault({}),
  sessions: z
    .strictObject({
      max_messages: whole(1, 100_000)
        .default(1000)
        .meta(help('Kept for a QoS 1 client that is away; then the oldest goes')),
      max_kb: whole(1, 16_384).default(1024).meta(help('The same in size')),
      max_hours: whole(1, 24 * 90)
        .default(24)
        .meta(help('The same in age')),
    })
    .prefault({}),
  bridge: bridge
    .nullish()
    .meta(help('Passes messages on to another broker, and keeps them while that is away')),
  home_assistant: z
    .strictObject({
      enabled: z.boolean().default(false).meta(help('Tell Home Assistant what there is (MQTT discovery)')),
      prefix: z
        .string()
        .regex(/^[a-z0-9_-]{1,32}$/, 'must be 1 to 32 of a-z, 0-9, - and _')
        .default('homeassistant')
        .meta(help('Its discovery prefix')),
      pictures: z
        .boolean()
        .default(true)
        .meta(
          help('Camera entities that show the last still of each camera: it crosses MQTT, and the bridge'),
        ),
      stills_url: httpUrl
        .nullish()
        .meta(help('Where it gets stills from: an address before their paths; null: no pictures')),
    })
    .prefault({}),
});
