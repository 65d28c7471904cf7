/**
 * The topic table: every message that crosses the bus, with its schema. Dotted names are the ones people type;
 * on MQTT `event.new` is `spyoncino/<node>/event/new`. `*` in a name stands for one segment (a camera id).
 */
import { z } from 'zod';
import { ERRORS, type ErrorCode } from './errors.ts';

const box = z.tuple([z.number(), z.number(), z.number(), z.number()]).meta({
  description: '[x1, y1, x2, y2] as fractions of the picture, origin top left',
});
const utcMs = z.number().meta({ description: 'UTC, ms since 1970' });
const errorReport = z.object({
  code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  advice: z.string(),
});

const event = z.object({
  event_id: z.string(),
  camera_id: z.string(),
  track_id: z.number().int(),
  label: z.string(),
  score: z.number().min(0).max(1).meta({ description: 'highest belief so far, from all sightings together' }),
  top_score: z.number().min(0).max(1).meta({ description: 'best single sighting' }),
  box,
  zones: z.array(z.string()),
  entered_zones: z.array(z.string()),
  stationary: z.boolean(),
  start_ts: utcMs,
  last_seen_ts: utcMs,
  end_ts: utcMs.nullable(),
  end_reason: z.enum(['gone', 'stationary', 'interrupted']).nullable(),
  best: z.object({ ts: utcMs, box, score: z.number() }),
  still: z
    .string()
    .nullable()
    .meta({ description: 'JPEG of the best moment, relative to the data directory' }),
});

const clip = z.object({
  clip_id: z.string(),
  camera_id: z.string(),
  event_ids: z.array(z.string()),
  url: z.string().nullable().meta({
    description:
      'file of the clip, relative to the data directory; null while it is a range of continuous footage that nobody needed as a file',
  }),
  start_ts: utcMs,
  duration_ms: z.number(),
  size_bytes: z.number().int(),
});

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const coverage = z.array(z.object({ start_ts: utcMs, end_ts: utcMs }));
const recovered = z.boolean().meta({ description: 'completed after its writer died' });
const chain = z.object({ position: z.number().int(), hash: sha256 }).meta({
  description:
    "place in the camera's hash chain, and the chain's hash up to it: keep it elsewhere, and nobody can alter what came before unnoticed",
});
const storageClass = z.object({
  files: z.number().int(),
  size_bytes: z.number().int(),
  oldest_ts: utcMs.nullable(),
});

/** What the bus itself adds to every payload. */
export const envelope = z.object({
  schema: z.literal('1.0.0').meta({ description: 'version of the payload schema' }),
  ts: utcMs,
  seq: z
    .number()
    .int()
    .meta({ description: 'counts up by one per topic, from 1 at each start of the agent' }),
});

interface TopicSpec {
  readonly about: string;
  readonly retain: boolean;
  readonly payload: z.ZodObject;
}

export const TOPICS = {
  'event.new': { about: 'An object is seen and believed.', retain: false, payload: event },
  'event.update': {
    about: 'The object changed zone, came to rest or moved on, or has a better still.',
    retain: false,
    payload: event,
  },
  'event.end': { about: 'The visit is over.', retain: false, payload: event },
  'motion.start': {
    about: 'Something begins to move.',
    retain: false,
    payload: z.object({ camera_id: z.string(), start_ts: utcMs, score: z.number() }),
  },
  'motion.end': {
    about: 'Nothing moves any more.',
    retain: false,
    payload: z.object({ camera_id: z.string(), end_ts: utcMs, score: z.number() }),
  },
  'clip.partial': {
    about: 'The clip of an event has begun: it plays already and grows.',
    retain: false,
    payload: clip,
  },
  'clip.ready': {
    about: 'The clip is complete and durable on disk.',
    retain: false,
    payload: clip.extend({ sha256: sha256.nullable(), coverage, recovered, chain: chain.nullable() }),
  },
  'segment.ready': {
    about: 'A piece of continuous footage is complete and durable on disk.',
    retain: false,
    payload: z.object({
      segment_id: z.string(),
      camera_id: z.string(),
      url: z.string().meta({ description: 'relative to the data directory' }),
      start_ts: utcMs,
      duration_ms: z.number(),
      size_bytes: z.number().int(),
      sha256,
      coverage,
      recovered,
      chain,
    }),
  },
  'storage.gap': {
    about: 'Footage was lost between camera and disk.',
    retain: false,
    payload: z.object({ camera_id: z.string(), start_ts: utcMs, end_ts: utcMs, reason: errorReport }),
  },
  'storage.stats': {
    about: 'How full the disk is, with what, and for how long it will last.',
    retain: true,
    payload: z.object({
      root: z.string().meta({ description: 'directory of the footage' }),
      total_gb: z.number(),
      used_gb: z.number(),
      free_gb: z.number(),
      usage_percent: z.number(),
      files_deleted: z.number().int().meta({ description: 'since the last of these messages' }),
      aggressive: z
        .boolean()
        .meta({ description: 'footage goes before its age says so, to keep space free' }),
      warning: z.boolean().meta({ description: 'less is free than should be' }),
      artifacts: z
        .record(z.string(), z.number().int())
        .meta({ description: 'number of files by pattern of their names' }),
      continuous: storageClass,
      event: storageClass,
      protected: storageClass,
      write_gb_per_day: z
        .number()
        .nullable()
        .meta({ description: 'of the last 24 h; null before there is enough' }),
      forecast_days: z.number().nullable().meta({
        description: "how much footage the disk holds at today's rate, in days; null while unknown",
      }),
    }),
  },
  'storage.alarm': {
    about: 'Something ails the storage, or no longer does.',
    retain: true,
    payload: z.object({
      active: z.boolean(),
      alarms: z.array(errorReport.extend({ since_ts: utcMs, camera_id: z.string().nullable() })),
    }),
  },
  'status.camera.*': {
    about: 'State of one camera, with the exact reason of an outage.',
    retain: true,
    payload: z.object({
      camera_id: z.string(),
      state: z.enum(['starting', 'connecting', 'running', 'down', 'stopped']),
      generation: z.number().int(),
      since_ts: utcMs,
      reason: errorReport.nullable(),
      retry_in_ms: z.number().nullable(),
      streams: z.array(
        z.object({
          role: z.enum(['main', 'sub']),
          state: z.enum(['starting', 'connecting', 'running', 'down', 'stopped']),
          analysed: z.boolean().meta({ description: 'motion and objects are looked for in this stream' }),
          codec: z.string().nullable(),
          width: z.number().nullable(),
          height: z.number().nullable(),
          fps: z.number().nullable(),
          audio: z.string().nullable(),
          encoder: z.string().nullable(),
        }),
      ),
    }),
  },
  'status.detector': {
    about: 'State of the detector that all cameras share.',
    retain: true,
    payload: z.object({
      state: z.enum(['starting', 'running', 'down']),
      model: z.string().nullable(),
      backend: z.string().nullable(),
      reason: errorReport.nullable(),
    }),
  },
  'status.availability': {
    about: 'Whether the agent is there. On MQTT also the plain last will of the node.',
    retain: true,
    payload: z.object({ state: z.enum(['online', 'offline']), version: z.string() }),
  },
} as const satisfies Record<string, TopicSpec>;

export type TopicPattern = keyof typeof TOPICS;

/** `status.camera.*` names a family: its members are `status.camera.<id>`. */
export type TopicName<P extends TopicPattern = TopicPattern> = P extends `${infer Head}*`
  ? `${Head}${string}`
  : P;

export type Payload<P extends TopicPattern> = z.infer<(typeof TOPICS)[P]['payload']>;
export type Envelope = z.infer<typeof envelope>;
