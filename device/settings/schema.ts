/**
 * The one schema of config.yaml: types, defaults, ranges and help. The JSON schema, the reference and the
 * environment variables follow from it. Keys keep the names that operators know; units are in names.
 */
import { z } from 'zod';
import { bus } from './schema-bus.ts';
import { gpio } from './schema-gpio.ts';
import { outputs, outputSecrets } from './schema-outputs.ts';
import { remote, remoteSecrets } from './schema-remote.ts';
import {
  bounds,
  fraction,
  help,
  id,
  nodeId,
  polygon,
  port,
  rtspUrl,
  topicGlob,
  whole,
  words,
} from './fields.ts';

/** Seen in the wild and worth telling; the rest of what a model knows is noise to most owners. */
const DEFAULT_LABELS = ['person', 'bicycle', 'car', 'motorcycle', 'bus', 'truck', 'cat', 'dog'];

const LOG_LEVELS = [
  ...(['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const),
  ...(['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const),
];

const scenario = z
  .strictObject({
    name: id.meta(help('By which it is armed')),
    topic: words
      .optional()
      .meta(help('Topic or glob, as in event.*; notify.webhook.send is a message on its way to the webhook')),
    module: words
      .optional()
      .meta(help('In place of a topic: module or glob whose work it is, as in modules.storage.retention')),
    latency_ms: whole(0, 600_000).default(0).meta(help('Messages or work come this much later')),
    drop_probability: fraction.default(0).meta(help('What is lost')),
    error_probability: fraction.default(0).meta(help('What fails')),
    enabled: z.boolean().default(false).meta(help('Armed from the start')),
  })
  .refine(({ topic, module }) => (topic === undefined) !== (module === undefined), {
    error: 'needs either topic or module',
    when: isObject,
  });

/** The scenario that the runbook knows. */
const SLOW_WEBHOOK = { name: 'slow-webhook', topic: 'notify.webhook.send', latency_ms: 10_000 };

/** As the original system shipped them. */
const GATEWAY_TOPICS = [
  'status.health.summary',
  'status.bus',
  'notify.telegram.sent',
  'analytics.persistence.cursor',
  'storage.stats',
];

const motion = z.strictObject({
  sensitivity: fraction.default(0.5).meta(help('0 sees nothing, 1 sees every leaf')),
  masks: z.array(polygon).max(32).default([]).meta(help('Areas in which motion is ignored')),
});

const filter = z.strictObject({
  min_score: fraction
    .optional()
    .meta(help('Belief from which an object counts; default: that of the camera')),
  min_area: fraction.default(0).meta(help('Smallest box, as a fraction of the picture')),
  max_area: fraction.default(1).meta(help('Largest box, as a fraction of the picture')),
});

const cameraDetection = z.strictObject({
  enabled: z.boolean().default(true).meta(help('Look for objects; without, only motion is seen')),
  fps: z.number().min(0.1).max(30).default(5).meta(help('Pictures analysed per second, at most')),
  labels: z.array(words).min(1).default(DEFAULT_LABELS).meta(help('What may make events')),
  min_score: fraction.default(0.4).meta(help('Belief from which an object counts')),
  filters: z.record(z.string(), filter).default({}).meta(help('Per label: other limits')),
});

const zone = z
  .strictObject({
    id: id.meta(help('Appears in events')),
    name: words.optional().meta(help('For people; default: the id')),
    bounds: bounds.optional(),
    polygon: polygon.optional(),
    labels: z.array(words).default([]).meta(help('What the zone is for; empty: everything')),
    action: z
      .enum(['include', 'exclude', 'observe'])
      .default('include')
      .meta(
        help(
          'exclude: nothing in it makes an event. include: with one or more of these, only they do. observe: only named in events',
        ),
      ),
  })
  .refine(({ bounds, polygon }) => (bounds === undefined) !== (polygon === undefined), {
    error: 'needs either bounds or polygon',
    when: isObject,
  });

const limits = (days: number | null) =>
  z
    .strictObject({
      max_days: z
        .number()
        .positive()
        .nullable()
        .default(days)
        .meta(help('Older footage goes; null: whatever its age')),
      max_gb: z
        .number()
        .positive()
        .nullable()
        .default(null)
        .meta(help('Beyond this the oldest goes; null: whatever fits')),
    })
    .prefault({});

/** By class of footage. */
const retention = (continuousDays: number | null, eventDays: number | null) =>
  z
    .strictObject({
      continuous: limits(continuousDays).meta(help('Footage without an event')),
      event: limits(eventDays).meta(help('Footage of events')),
    })
    .prefault({});

const recording = z.strictObject({
  enabled: z.boolean().default(true).meta(help('Keep footage')),
  mode: z
    .enum(['events', 'continuous', 'motion'])
    .default('events')
    .meta(
      help(
        'events: clips of events only, nothing is written while nothing happens. continuous: everything. motion: while something moves or an event goes on',
      ),
    ),
  segment_seconds: whole(10, 600).default(60).meta(help('Length of the files of continuous and motion')),
  pre_seconds: z.number().min(0).max(60).default(5).meta(help('Kept from before the event')),
  post_seconds: z.number().min(0).max(120).default(10).meta(help('Kept from after the event')),
  max_clip_seconds: z
    .number()
    .min(10)
    .max(3600)
    .default(300)
    .meta(help('A longer clip goes on in a new file, without a gap')),
  buffer_mb: whole(2, 1024)
    .default(32)
    .meta(help('Memory for the recent past and for what waits for the disk')),
  retention: retention(null, null).meta(help('For this camera, beside `storage.retention` for all together')),
});

const SOURCE_KEYS = ['rtsp_url', 'usb_port', 'video_file', 'test_pattern'] as const;
type SourceKey = (typeof SOURCE_KEYS)[number];

const USB_PORT = 'must be a number (0 is /dev/video0), a path below /dev/, or auto';

const camera = z
  .strictObject({
    camera_id: id.meta(help('Appears in topics, file names and events')),
    name: words.optional().meta(help('For people; default: the id')),
    notes: z.string().nullish().meta(help('For yourself')),
    enabled: z.boolean().default(true),
    rtsp_url: rtspUrl.nullish().meta(help('Address of the recorded stream, without user name and password')),
    rtsp_sub_url: rtspUrl.nullish().meta(help('Address of a smaller stream of the same camera, to analyse')),
    rtsp_transport: z.enum(['tcp', 'udp']).default('tcp').meta(help('How video travels')),
    username: words.nullish().meta(help('Name at the RTSP camera; its password goes into secrets.yaml')),
    audio: z.boolean().default(true).meta(help('Record sound where the RTSP camera sends any')),
    usb_port: z
      .union([whole(0, 255), z.literal('auto'), z.string().startsWith('/dev/', USB_PORT)], USB_PORT)
      .nullish()
      .meta(help('Attached camera: number, path, or auto for the first one found')),
    video_file: words.nullish().meta(help('A video file in place of a camera, relative to this file')),
    video_loop: z.boolean().default(true).meta(help('Start the video file again at its end')),
    test_pattern: z.boolean().nullish().meta(help('A moving picture made by the agent')),
    width: whole(16, 7680).nullish().meta(help('Wish for attached cameras; the nearest mode is taken')),
    height: whole(16, 4320).nullish().meta(help('Wish for attached cameras')),
    fps: z.number().min(1).max(240).nullish().meta(help('Wish for attached cameras')),
    motion: motion.prefault({}),
    detection: cameraDetection.prefault({}),
    zones: z.array(zone).max(64).default([]),
    privacy_masks: z
      .array(polygon)
      .max(32)
      .default([])
      .meta(help('Areas blackened in all that is recorded or analysed; costs decoding and encoding')),
    recording: recording.prefault({}),
  })
  .refine((config) => sourcesOf(config).length === 1, {
    error: `needs exactly one of ${SOURCE_KEYS.join(', ')}`,
    when: isObject,
  })
  .refine(({ rtsp_url, rtsp_sub_url }) => rtsp_url || !rtsp_sub_url, {
    path: ['rtsp_sub_url'],
    error: 'needs rtsp_url as well',
    when: isObject,
  })
  .refine(({ zones }) => isDistinct(zones, 'id'), {
    path: ['zones'],
    error: 'has the same id twice',
    when: isObject,
  });

export const config = z.strictObject({
  node: z
    .strictObject({
      id: nodeId.optional().meta(help('Name of this device in topics; default: the host name')),
    })
    .prefault({}),
  cameras: z
    .array(camera)
    .max(64)
    .refine((cameras) => isDistinct(cameras, 'camera_id'), {
      error: 'has the same camera_id twice',
      when: () => true,
    })
    .default([])
    .meta(help('Without any: an attached camera, else a demo')),
  detection: z
    .strictObject({
      backend: z
        .enum(['auto', 'tfjs-wasm', 'tfjs-webgpu', 'tfjs-node', 'onnx'])
        .default('auto')
        .meta(help('What computes; auto takes the fastest that works here')),
      model: words.default('centernet').meta(help('Id of an installed model')),
      workers: whole(0, 64).default(0).meta(help('Model workers; 0: one per core but one')),
    })
    .prefault({}),
  bus: bus.prefault({}),
  metrics: z
    .strictObject({
      host: words.default('127.0.0.1').meta(help('Address of /metrics and /health')),
      port: port.default(9093).meta(help('0: any free port')),
    })
    .prefault({}),
  system: z
    .strictObject({
      confirm_seconds: whole(0, 3600)
        .default(60)
        .meta(help('A change is taken back when what it touched is worse off within this time')),
      updates: z
        .strictObject({
          source: words
            .max(2048)
            .nullish()
            .meta(
              help(
                'Where a flashed box finds bundles: an address, a file, or `usb`; `{compatible}` stands for the kind of board',
              ),
            ),
        })
        .prefault({}),
      resilience: z
        .strictObject({
          enabled: z
            .boolean()
            .default(false)
            .meta(help('Let admins arm scenarios of trouble on the bus; never on by itself')),
          scenarios: z
            .array(scenario)
            .max(32)
            .refine((scenarios) => isDistinct(scenarios, 'name'), 'has the same name twice')
            .default([scenario.parse(SLOW_WEBHOOK)])
            .meta(help('What may be armed')),
        })
        .prefault({}),
      control_api: z
        .strictObject({
          host: words.default('0.0.0.0').meta(help('Address of the HTTPS control API')),
          port: port.default(8443).meta(help('0: any free port')),
        })
        .prefault({}),
      logging: z
        .strictObject({
          log_level: z
            .enum(LOG_LEVELS)
            .default('info')
            .meta(help('Least important lines that are still written')),
        })
        .prefault({}),
    })
    .prefault({}),
  dashboards: z
    .strictObject({
      websocket_gateway: z
        .strictObject({
          host: words.default('0.0.0.0').meta(help('Address of the websocket gateway')),
          port: port.default(9443).meta(help('0: any free port')),
          topics: z
            .array(topicGlob)
            .max(64)
            .default(GATEWAY_TOPICS)
            .meta(help('Topics or globs that are kept for who comes later, and told to who names none')),
          buffer_size: whole(10, 10_000).default(256).meta(help('Messages that are kept')),
          idle_timeout_seconds: whole(1, 3600).default(30).meta(help('Time between keepalives')),
        })
        .prefault({}),
    })
    .prefault({}),
  outputs: outputs.prefault({}),
  gpio: gpio.prefault({}),
  storage: z
    .strictObject({
      path: words.optional().meta(help('Data directory, relative to this file; --data-dir wins over it')),
      media_id: z
        .uuid()
        .nullish()
        .meta(help('The only disk that may be used for footage, see `spyoncino media`; null: the known one')),
      low_space_threshold_gb: z.number().min(0).default(1).meta(help('Kept free on the disk')),
      cleanup_interval_seconds: whole(1, 86_400).default(30).meta(help('How often space is looked at')),
      retention: retention(7, 30).meta(help('For all cameras together; protected footage never goes')),
      remote: remote
        .refine((given) => !given.enabled || (given.endpoint && given.bucket), {
          error: 'needs endpoint and bucket where it is enabled',
          when: isObject,
        })
        .prefault({}),
    })
    .prefault({}),
});

/** secrets.yaml. */
export const secrets = z.strictObject({
  cameras: z
    .record(id, z.strictObject({ username: words.nullish(), password: z.string().nullish() }))
    .default({})
    .meta(help('By camera_id')),
  bus: z
    .strictObject({
      bridge: z
        .strictObject({ username: words.nullish(), password: z.string().nullish() })
        .prefault({})
        .meta(help('Of the other broker')),
    })
    .prefault({}),
  ...outputSecrets,
  storage: z
    .strictObject({
      remote: remoteSecrets.prefault({}).meta(help('Keys of the server with the bucket')),
    })
    .prefault({}),
});

export type ConfigInput = z.input<typeof config>;
export type Config = z.output<typeof config>;
export type CameraInput = z.input<typeof camera>;
export type CameraConfig = z.output<typeof camera>;
export type Secrets = z.output<typeof secrets>;

/** Which of the possible sources a camera names; null and false name none. */
export const sourcesOf = (config: Readonly<Partial<Record<SourceKey, unknown>>>): SourceKey[] =>
  SOURCE_KEYS.filter((key) => config[key] !== undefined && config[key] !== null && config[key] !== false);

/** Rules over several keys are checked even where single keys are wrong, so that all problems show at once. */
function isObject({ value }: { value: unknown }): boolean {
  return typeof value === 'object' && value !== null;
}

function isDistinct<K extends string>(items: readonly { [key in K]?: unknown }[], key: K): boolean {
  const ids = Array.isArray(items) ? items.flatMap((item) => item?.[key] ?? []) : [];
  return new Set(ids).size === ids.length;
}
