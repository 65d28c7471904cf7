import { z } from 'zod';
import { CodedError } from '../../contract/errors.ts';
import { sendMedia } from '../media.ts';
import { route } from '../route.ts';
import {
  clip,
  clipView,
  cursorWord,
  event,
  eventView,
  pageOf,
  pageView,
  timeline,
  timelineView,
} from '../views.ts';

const id = z.string().min(1).max(200);
const time = z.coerce.number().min(-8.64e15).max(8.64e15);
const list = {
  camera_id: id.optional(),
  from_ts: time.optional(),
  to_ts: time.optional(),
  after: cursorWord.optional(),
  limit: z.coerce.number().int().min(1).max(500).default(50),
};
/** More would be more than a page can show. */
const MAX_TIMELINE_MS = 31 * 86_400_000;

export const FOOTAGE_ROUTES = [
  route({
    method: 'GET',
    path: '/api/events',
    access: 'viewer',
    about: 'Events, newest first.',
    query: z.object({ ...list, label: z.string().max(100).optional() }),
    answer: pageOf(event),
    handle: async ({ api, query }) => {
      const label = query.label === undefined ? {} : { label: query.label };
      return pageView(await api.footage.listEvents({ ...asked(query), ...label }), eventView);
    },
  }),
  route({
    method: 'GET',
    path: '/api/events/{event_id}',
    access: 'viewer',
    about: 'One event.',
    params: z.object({ event_id: id }),
    answer: event,
    handle: async ({ api, params }) => eventView(found(await api.footage.getEvent(params.event_id))),
  }),
  route({
    method: 'GET',
    path: '/api/events/{event_id}/still',
    access: 'viewer',
    about: 'A JPEG of the best moment of an event.',
    params: z.object({ event_id: id }),
    answer: 'image/jpeg',
    async handle({ api, params, headers }) {
      const { stillPath } = found(await api.footage.getEvent(params.event_id));
      return await sendMedia(api.dataDir, found(stillPath), headers);
    },
  }),
  route({
    method: 'GET',
    path: '/api/clips',
    access: 'viewer',
    about: 'Clips, newest first.',
    query: z.object(list),
    answer: pageOf(clip),
    handle: async ({ api, query }) => pageView(await api.footage.listClips(asked(query)), clipView),
  }),
  route({
    method: 'GET',
    path: '/api/clips/{clip_id}',
    access: 'viewer',
    about: 'One clip.',
    params: z.object({ clip_id: id }),
    answer: clip,
    handle: async ({ api, params }) => clipView(found(await api.footage.getClip(params.clip_id))),
  }),
  route({
    method: 'GET',
    path: '/api/clips/{clip_id}/media',
    access: 'viewer',
    about: 'The file of a clip, whole or in part; made now where the clip is a range of continuous footage.',
    params: z.object({ clip_id: id }),
    answer: 'video/mp4',
    async handle({ api, caller, params: { clip_id }, headers }) {
      let { path } = found(await api.footage.getClip(clip_id));
      if (path === null) {
        const request = { command: 'recordings.get', arguments: { item_id: clip_id } };
        const outcome = await api.door.submit(request, caller);
        if (!outcome.ok) throw CodedError.of(outcome.error);
        path = found(await api.footage.getClip(clip_id)).path;
      }
      if (path === null) throw new CodedError('FOOTAGE_NOT_FOUND', clip_id);
      return await sendMedia(api.dataDir, path, headers);
    },
  }),
  route({
    method: 'GET',
    path: '/api/timeline',
    access: 'viewer',
    about: 'What there is of a camera, what is missing and why, and what happened; at most 31 days.',
    query: z
      .object({ camera_id: id, from_ts: time, to_ts: time })
      .refine(({ from_ts, to_ts }) => from_ts < to_ts && to_ts - from_ts <= MAX_TIMELINE_MS, {
        path: ['to_ts'],
        error: 'must be after from_ts, by no more than 31 days',
      }),
    answer: timeline,
    handle: async ({ api, query: { camera_id, from_ts, to_ts } }) =>
      timelineView(await api.footage.timeline({ cameraId: camera_id, startUtcMs: from_ts, endUtcMs: to_ts })),
  }),
];

function asked({ camera_id, from_ts, to_ts, after, limit }: z.output<z.ZodObject<typeof list>>) {
  return {
    ...(camera_id !== undefined && { cameraId: camera_id }),
    ...(from_ts !== undefined && { startUtcMs: from_ts }),
    ...(to_ts !== undefined && { endUtcMs: to_ts }),
    ...(after !== undefined && { after }),
    limit,
  };
}

function found<T>(item: T | null): T {
  if (item === null) throw new CodedError('NOT_FOUND');
  return item;
}
