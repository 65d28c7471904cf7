/** What the API says, as JSON: names and times as on the bus. */
import { z } from 'zod';
import { ROLES, type Account } from '../contract/access.ts';
import type { CommandOutcome } from '../contract/commands.ts';
import { ERRORS, type ErrorCode } from '../contract/errors.ts';
import type { ClipSummary, Cursor, EventSummary, Page, Timeline } from '../contract/library.ts';
import { TOPICS } from '../contract/topics.ts';
import type { CameraView, ConfigVersion } from './options.ts';

export const utcMs = z.number().meta({ description: 'UTC, ms since 1970' });
export const role = z.enum(ROLES);
export const errorReport = z.object({
  code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  advice: z.string(),
});
export const done = z.object({ status: z.literal('ok') });
export const accepted = z.object({ status: z.literal('accepted') });

export const caller = z.object({ user: z.string(), role });

export const account = z.object({
  name: z.string(),
  kind: z.enum(['user', 'token']),
  role,
  created_ts: utcMs,
  expires_ts: utcMs.nullable(),
});
export const accountView = (a: Account): z.input<typeof account> => ({
  name: a.name,
  kind: a.kind,
  role: a.role,
  created_ts: a.createdUtcMs,
  expires_ts: a.expiresUtcMs,
});

export const event = z.object({
  event_id: z.string(),
  camera_id: z.string(),
  label: z.string(),
  score: z.number(),
  zones: z.array(z.string()),
  start_ts: utcMs,
  end_ts: utcMs.nullable().meta({ description: 'null while it goes on' }),
  still_url: z.string().nullable(),
  clip_id: z.string().nullable(),
  protected: z.boolean(),
});
export const eventView = (e: EventSummary): z.input<typeof event> => ({
  event_id: e.eventId,
  camera_id: e.cameraId,
  label: e.label,
  score: e.score,
  zones: [...e.zones],
  start_ts: e.startUtcMs,
  end_ts: e.endUtcMs,
  still_url: e.stillPath === null ? null : `/api/events/${encodeURIComponent(e.eventId)}/still`,
  clip_id: e.clipId,
  protected: e.isProtected,
});

export const clip = z.object({
  clip_id: z.string(),
  camera_id: z.string(),
  event_ids: z.array(z.string()),
  start_ts: utcMs,
  end_ts: utcMs,
  media_url: z.string(),
  size_bytes: z.number().int().meta({ description: '0 while it is a range of continuous footage' }),
  sha256: z.string().nullable(),
  protected: z.boolean(),
  uploaded: z.boolean(),
});
export const clipView = (c: ClipSummary): z.input<typeof clip> => ({
  clip_id: c.clipId,
  camera_id: c.cameraId,
  event_ids: [...c.eventIds],
  start_ts: c.startUtcMs,
  end_ts: c.endUtcMs,
  media_url: `/api/clips/${encodeURIComponent(c.clipId)}/media`,
  size_bytes: c.sizeBytes,
  sha256: c.sha256,
  protected: c.isProtected,
  uploaded: c.isUploaded,
});

const range = z.object({ start_ts: utcMs, end_ts: utcMs });
export const timeline = z.object({
  camera_id: z.string(),
  start_ts: utcMs,
  end_ts: utcMs,
  coverage: z.array(range),
  gaps: z.array(range.extend({ reason: errorReport })),
  events: z.array(event),
});
export const timelineView = (t: Timeline): z.input<typeof timeline> => ({
  camera_id: t.cameraId,
  start_ts: t.startUtcMs,
  end_ts: t.endUtcMs,
  coverage: t.coverage.map(({ startUtcMs, endUtcMs }) => ({ start_ts: startUtcMs, end_ts: endUtcMs })),
  gaps: t.gaps.map(({ startUtcMs, endUtcMs, reason }) => ({
    start_ts: startUtcMs,
    end_ts: endUtcMs,
    reason,
  })),
  events: t.events.map(eventView),
});

export const camera = z.object({
  camera_id: z.string(),
  name: z.string(),
  enabled: z.boolean(),
  status: TOPICS['status.camera.*'].payload.nullable(),
});
export const cameraView = (c: CameraView): z.input<typeof camera> => ({
  camera_id: c.cameraId,
  name: c.name,
  enabled: c.enabled,
  status: c.status,
});

export const outcome = z.object({
  request_id: z.string().nullable(),
  command: z.string(),
  ok: z.boolean(),
  result: z.unknown().optional(),
  error: errorReport.optional(),
});
export const outcomeView = ({ requestId, ...rest }: CommandOutcome): z.input<typeof outcome> => ({
  request_id: requestId,
  ...rest,
});

export const configVersion = z.object({
  fingerprint: z.string(),
  author: z.string(),
  ts: utcMs,
  changes: z.array(
    z.object({ key: z.string(), before: z.unknown().optional(), after: z.unknown().optional() }),
  ),
});
export const configVersionView = (v: ConfigVersion): z.input<typeof configVersion> => ({
  fingerprint: v.fingerprint,
  author: v.author,
  ts: v.utcMs,
  changes: [...v.changes],
});

/** Where a list goes on, as one word. */
export const cursorWord = z
  .string()
  .regex(/^-?\d{1,15}\.\d{1,15}$/)
  .transform((word): Cursor => {
    const [startUtcMs = 0, no = 0] = word.split('.').map(Number);
    return { startUtcMs, no };
  });
export const pageOf = <S extends z.ZodType>(item: S) =>
  z.object({
    items: z.array(item),
    next: z.string().nullable().meta({ description: '`after` of the next page; null: that was all' }),
  });
export const pageView = <Item, View>({ items, next }: Page<Item>, view: (item: Item) => View) => ({
  items: items.map(view),
  next: next && `${next.startUtcMs}.${next.no}`,
});
