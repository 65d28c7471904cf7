/**
 * The topic table: every message that crosses the bus, with its schema. Dotted names are the ones people type;
 * on MQTT `event.new` is `spyoncino/<node>/event/new`. `*` in a name stands for one segment (a camera id).
 */
import { z } from 'zod';
import type { Role } from './access.ts';
import { commandRequest } from './commands.ts';
import { ERRORS, type ErrorCode } from './errors.ts';
import { ARM_MODES, CHANNELS } from './notify.ts';
import { REMOTE_KINDS } from './sync.ts';
import { UPDATE_OUTCOMES, UPDATE_STATES } from './update.ts';

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
  /**
   * Set where clients publish and the agent listens: the least that such a client must be. Whether it may do what
   * it asks for is decided by the command itself.
   */
  readonly request?: Role;
}

const moduleHealth = z.object({
  status: z.enum(['disabled', 'healthy', 'degraded', 'error']),
  reasons: z.array(errorReport),
  details: z.record(z.string(), z.unknown()),
});
const fingerprint = z.string().regex(/^[0-9a-f]{64}$/);
const keyChanges = z.array(
  z.object({ key: z.string(), before: z.unknown().optional(), after: z.unknown().optional() }),
);

/** Payloads of the original Python system. */
const originalVersion = { schema_version: z.literal('1.0.0') };
const originalDetection = z.object({
  ...originalVersion,
  camera_id: z.string(),
  detector_id: z.string(),
  timestamp_utc: z.string(),
  triggered: z.boolean(),
  confidence: z.number().min(0).max(1),
  frame_ref: z.string().nullable(),
  attributes: z.record(z.string(), z.unknown()),
});
const originalArtifact = z.object({
  ...originalVersion,
  camera_id: z.string(),
  artifact_path: z.string().meta({ description: 'absolute, on the device' }),
  content_type: z.string(),
  metadata: z.record(z.string(), z.unknown()),
});

const notification = z.object({
  channel: z.enum(CHANNELS),
  target: z.string().meta({ description: 'which receiver of the channel; says nothing of who that is' }),
  notice_id: z.string(),
  kind: z.enum(['incident', 'digest']),
  action: z.enum(['send', 'edit']).meta({ description: 'a new message, or more in the same one' }),
  revision: z.number().int().meta({ description: 'counts up with what there is to tell' }),
  tries: z.number().int(),
  camera_ids: z.array(z.string()),
  labels: z.array(z.string()),
  event_ids: z.array(z.string()).meta({ description: 'of an incident' }),
  start_ts: utcMs,
  end_ts: utcMs,
  reason: errorReport.nullable().meta({ description: 'why it failed' }),
});

const told = {
  incident_id: z.string().meta({ description: 'stays while it grows: one card in whatever shows it' }),
  revision: z
    .number()
    .int()
    .meta({ description: 'counts up; a message with one that is known already is a repetition' }),
  subject: z.string(),
  text: z.string().meta({ description: 'a few plain lines' }),
  start_ts: utcMs,
  end_ts: utcMs.meta({ description: 'the last that is known of it' }),
};
const url = z
  .string()
  .nullable()
  .meta({ description: 'of the control API, after outputs.mqtt.base_url; null while there is none' });
const incident = z.object({
  ...told,
  state: z.enum(['open', 'closed']).meta({ description: 'closed: all of its events are over' }),
  camera_ids: z.array(z.string()),
  labels: z.array(z.string()),
  zones: z.array(z.string()),
  events: z.array(
    z.object({
      event_id: z.string(),
      camera_id: z.string(),
      label: z.string(),
      score: z.number(),
      zones: z.array(z.string()),
      start_ts: utcMs,
      end_ts: utcMs.nullable(),
    }),
  ),
  still_url: url,
  clip_id: z.string().nullable(),
  clip_url: url,
});

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
      uploads: z
        .object({
          waiting: z.number().int(),
          waiting_bytes: z.number().int().meta({ description: 'as far as it is known' }),
          oldest_ts: utcMs.nullable().meta({ description: 'when the oldest began to wait' }),
          backfill: z
            .number()
            .int()
            .meta({ description: 'of those waiting: recorded before uploads were switched on' }),
        })
        .meta({ description: 'what is still to be copied to the bucket' }),
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
  'storage.upload.done': {
    about: 'An object is in the bucket, whole: size and checksum were compared.',
    retain: false,
    payload: z.object({
      kind: z.enum(REMOTE_KINDS),
      id: z.string().meta({ description: 'of the clip or segment; of a still: of its event' }),
      camera_id: z.string(),
      bucket: z.string(),
      object_key: z.string(),
      size_bytes: z.number().int().meta({ description: 'of the file, as is `sha256`' }),
      sha256,
      sealed: z
        .object({ key_id: z.string(), size_bytes: z.number().int(), sha256 })
        .nullable()
        .meta({ description: 'what lies in the bucket in its place, encrypted; null: the file itself' }),
      etag: z.string(),
      start_ts: utcMs,
      waited_ms: z.number().meta({ description: 'from the end of what it shows to now' }),
    }),
  },
  'storage.s3.synced': {
    about: 'Of the original system: an attempt to copy a file to the bucket. See storage.upload.done.',
    retain: false,
    payload: z.object({
      artifact_path: z.string().meta({ description: 'absolute, on the device' }),
      bucket: z.string(),
      object_key: z.string(),
      size_bytes: z.number().int(),
      etag: z.string().optional(),
      version_id: z.string().optional(),
      duration_ms: z.number(),
      lifecycle_tags: z.record(z.string(), z.string()),
      status: z.enum(['synced', 'failed']),
      error: errorReport.optional(),
      metadata: z.record(z.string(), z.unknown()),
    }),
  },
  'storage.discrepancy': {
    about:
      'The bucket was listed and compared with what should be in it: when something differs, and whenever it was asked for.',
    retain: false,
    payload: z.object({
      root: z.string().meta({ description: 'directory of the footage' }),
      missing_remote: z.array(z.string()).meta({
        description: 'what should be in the bucket, and is not or is of another size; the first hundred',
      }),
      orphaned_remote: z
        .array(z.string())
        .meta({ description: 'what is in the bucket, and nobody knows of; the first hundred' }),
      missing_count: z.number().int(),
      orphaned_count: z.number().int(),
      total_local: z.number().int().meta({ description: 'objects that should be there' }),
      total_remote: z.number().int().meta({ description: 'objects that are there' }),
      queued_again: z.number().int().meta({ description: 'of the missing ones: those that are sent again' }),
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
    about:
      'State of the detector that all cameras share; `reason`: why it is down, or what it cannot do well.',
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
  'process.motion.detected': {
    about: 'Of the original system: something begins to move. See motion.start.',
    retain: false,
    payload: originalDetection,
  },
  'process.motion.unique': {
    about: 'The same: here motion is told once in any case.',
    retain: false,
    payload: originalDetection,
  },
  'process.motion.zoned': {
    about: 'Of the original system: an object is seen in zones. See event.new.',
    retain: false,
    payload: originalDetection,
  },
  'process.yolo.detected': {
    about: 'Of the original system: an object is seen. See event.new.',
    retain: false,
    payload: originalDetection,
  },
  'process.alert.detected': {
    about: 'The same: here an object is told once in any case.',
    retain: false,
    payload: originalDetection,
  },
  'event.snapshot.ready': {
    about: 'Of the original system: a still of an event is on disk. See event.update.',
    retain: false,
    payload: originalArtifact,
  },
  'event.snapshot.allowed': {
    about: 'The same, but no more of them than outputs.rate_limit allows per camera.',
    retain: false,
    payload: originalArtifact,
  },
  'event.clip.ready': {
    about: 'Of the original system: a clip is on disk as a file. See clip.ready.',
    retain: false,
    payload: originalArtifact.extend({ media_kind: z.literal('clip') }),
  },
  'status.health.summary': {
    about: 'How all modules are, every 10 s, and within a second when one changes.',
    retain: true,
    payload: z.object({
      status: z.enum(['healthy', 'degraded', 'error']),
      modules: z
        .record(z.string(), moduleHealth.extend({ instances: z.record(z.string(), moduleHealth).optional() }))
        .meta({ description: 'by module; the worst of its instances where it has several' }),
      details: z
        .record(z.string(), z.unknown())
        .meta({ description: 'what is asked for most: `clients` of the websocket gateway and of the bus' }),
    }),
  },
  'status.bus': {
    about: 'How much waits on the bus, every 5 s.',
    retain: false,
    payload: z.object({
      queue_depth: z.number().int().meta({ description: 'bytes that wait for the slowest subscriber' }),
      queue_capacity: z.number().int().meta({ description: 'bytes that may wait for one subscriber' }),
      watermark: z.enum(['normal', 'high', 'critical']).meta({ description: 'from 75 % and from 90 %' }),
      subscriber_count: z.number().int(),
      topic_count: z.number().int(),
      published_total: z.number().int(),
      processed_total: z.number().int(),
      dropped_total: z.number().int(),
      lag_seconds: z.number().meta({ description: 'age of the oldest message that waits' }),
      subscribers: z.array(
        z.object({
          client: z.string().meta({ description: '`user/client id`' }),
          depth: z.number().int(),
          dropped: z.number().int(),
          lag_seconds: z.number(),
        }),
      ),
    }),
  },
  'status.arm': {
    about: 'Whether people are told of what happens: the arm mode, since when, and what is next.',
    retain: true,
    payload: z.object({
      mode: z.enum(ARM_MODES),
      since_ts: utcMs,
      by: z.string(),
      muted_until_ts: utcMs.nullable(),
      next: z.object({ ts: utcMs, mode: z.enum(ARM_MODES) }).nullable(),
    }),
  },
  'notify.telegram.queued': {
    about: 'An incident is to be told by Telegram. Every attempt is also in the journal: notifications.list.',
    retain: false,
    payload: notification,
  },
  'notify.telegram.sent': {
    about: 'A chat has the message, or its edit.',
    retain: false,
    payload: notification,
  },
  'notify.telegram.failed': {
    about: 'An attempt failed, and why; it is repeated unless the reason is NOTIFY_REFUSED.',
    retain: false,
    payload: notification,
  },
  'notify.webhook.queued': {
    about: 'An incident is to be told to the webhook.',
    retain: false,
    payload: notification,
  },
  'notify.webhook.sent': { about: 'The webhook has it.', retain: false, payload: notification },
  'notify.webhook.failed': {
    about: 'An attempt failed; see notify.telegram.failed.',
    retain: false,
    payload: notification,
  },
  'notify.email.queued': {
    about: 'An incident is to be told by e-mail.',
    retain: false,
    payload: notification,
  },
  'notify.email.sent': { about: 'The mail server has it.', retain: false, payload: notification },
  'notify.email.failed': {
    about: 'An attempt failed; see notify.telegram.failed.',
    retain: false,
    payload: notification,
  },
  'notify.gpio.queued': {
    about: 'An incident is to be told by a siren or light.',
    retain: false,
    payload: notification,
  },
  'notify.gpio.sent': { about: 'The siren or light runs.', retain: false, payload: notification },
  'notify.gpio.failed': {
    about: 'An attempt failed; see notify.telegram.failed.',
    retain: false,
    payload: notification,
  },
  'notify.mqtt.incident': {
    about:
      'What is told by MQTT: an incident, again with each revision. Show one card per `incident_id`, and replace it.',
    retain: false,
    payload: incident,
  },
  'notify.mqtt.latest': {
    about: 'The same, and the newest message stays: for whoever connects later.',
    retain: true,
    payload: incident,
  },
  'notify.mqtt.digest': {
    about: 'Incidents that were not told one by one, as after an outage; also the test message.',
    retain: false,
    payload: z.object({
      ...told,
      incidents: z.number().int(),
      events_by_camera: z
        .record(z.string(), z.record(z.string(), z.number().int()))
        .meta({ description: 'numbers of events by camera, then label' }),
    }),
  },
  'notify.mqtt.queued': {
    about: 'An incident is to be told by MQTT.',
    retain: false,
    payload: notification,
  },
  'notify.mqtt.sent': {
    about: 'The bus has it; a bridge passes it on when it can.',
    retain: false,
    payload: notification,
  },
  'notify.mqtt.failed': {
    about: 'An attempt failed; see notify.telegram.failed.',
    retain: false,
    payload: notification,
  },
  'gpio.triggered': {
    about: 'An input saw what it waits for; what follows is asked for by commands.',
    retain: false,
    payload: z.object({ input: z.string(), edge: z.enum(['rising', 'falling']) }),
  },
  'gpio.output': {
    about: 'An output begins to run, or is off again.',
    retain: false,
    payload: z.object({
      output: z.string(),
      state: z.enum(['started', 'ended']),
      end_ts: utcMs.meta({ description: 'when it is off for good' }),
    }),
  },
  'status.update': {
    about: 'How far an update of the box is, and what came of the last one.',
    retain: true,
    payload: z.object({
      state: z.enum(UPDATE_STATES),
      version: z
        .string()
        .nullable()
        .meta({ description: 'of the image that runs; null where there is none' }),
      target: z
        .object({ version: z.string(), source: z.string(), size_bytes: z.number().int().nullable() })
        .nullable()
        .meta({ description: 'what is being looked at, fetched or installed' }),
      received_bytes: z.number().int().nullable(),
      progress: z.number().min(0).max(1).nullable().meta({ description: 'of what the state says' }),
      error: errorReport.nullable().meta({ description: 'why the last attempt failed' }),
      last: z
        .object({
          version: z.string(),
          installed_ts: utcMs,
          outcome: z.enum(UPDATE_OUTCOMES),
          reasons: z.array(errorReport),
        })
        .nullable()
        .meta({ description: 'what was installed last; `trial`: not restarted or not confirmed yet' }),
    }),
  },
  'status.shutdown.progress': {
    about: 'The agent stops: which part, and how far it is.',
    retain: false,
    payload: z.object({
      phase: z.string(),
      phase_index: z.number().int(),
      total_phases: z.number().int(),
      module: z.string().nullable(),
      status: z.enum(['starting', 'completed', 'failed']),
      message: z.string().nullable(),
    }),
  },
  'status.resilience.event': {
    about: 'The resilience tester did something, or was told to.',
    retain: false,
    payload: z.object({
      scenario: z.string(),
      topic: z.string().nullable(),
      action: z.enum(['latency', 'drop', 'error', 'enable', 'disable']),
      details: z.record(z.string(), z.unknown()),
    }),
  },
  'analytics.persistence.cursor': {
    about: 'How far the index is behind what happened.',
    retain: true,
    payload: z.object({
      cursor_id: z.string(),
      topic: z.string(),
      event_timestamp: utcMs.nullable(),
      lag_seconds: z.number(),
      backlog: z.number().int(),
    }),
  },
  'config.update': {
    about: 'Asks for a change of the configuration: the command config.update under its own name.',
    retain: false,
    request: 'admin',
    payload: z.looseObject({
      source: z.string().optional(),
      changes: z.record(z.string(), z.unknown()).optional(),
      reload: z.boolean().optional(),
      request_id: z.string().max(128).optional(),
    }),
  },
  'config.snapshot': {
    about: 'The configuration that counts from now on; secrets are not in it.',
    retain: true,
    payload: z.object({
      fingerprint,
      author: z.string(),
      changes: keyChanges,
      data: z.record(z.string(), z.unknown()),
    }),
  },
  'config.rejected': {
    about: 'A change of the configuration was refused; nothing was changed.',
    retain: false,
    payload: z.object({ author: z.string(), reason: errorReport }),
  },
  'config.rollback': {
    about:
      'The configuration went back: by request, or because a change did not work out. As a request: `fingerprint`.',
    retain: false,
    request: 'admin',
    payload: z.looseObject({
      fingerprint: z.string().optional(),
      snapshot_fingerprint: fingerprint.optional(),
      from: z.string().optional(),
      reason: z.string().optional(),
      success: z.boolean().optional(),
      author: z.string().optional(),
      request_id: z.string().max(128).optional(),
    }),
  },
  'dashboard.control.command': {
    about: 'Asks for something: see commands.md. The answer is dashboard.control.result.',
    retain: false,
    request: 'viewer',
    payload: z.looseObject(commandRequest.shape),
  },
  'dashboard.control.result': {
    about: 'What came of a command.',
    retain: false,
    payload: z.object({
      request_id: z.string().nullable(),
      command: z.string(),
      ok: z.boolean(),
      result: z.unknown().optional(),
      error: errorReport.optional(),
    }),
  },
} as const satisfies Record<string, TopicSpec>;

export type TopicPattern = keyof typeof TOPICS;

/** `status.camera.*` names a family: its members are `status.camera.<id>`. */
export type TopicName<P extends TopicPattern = TopicPattern> = P extends `${infer Head}*`
  ? `${Head}${string}`
  : P;

/** Topics that clients may publish on. */
export type RequestTopic = {
  [P in TopicPattern]: (typeof TOPICS)[P] extends { readonly request: Role } ? P : never;
}[TopicPattern];

export type Payload<P extends TopicPattern> = z.infer<(typeof TOPICS)[P]['payload']>;
export type Envelope = z.infer<typeof envelope>;
