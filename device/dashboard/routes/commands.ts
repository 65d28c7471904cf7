import { z } from 'zod';
import type { Caller } from '../../contract/access.ts';
import { commandRequest, type CommandName } from '../../contract/commands.ts';
import { CodedError } from '../../contract/errors.ts';
import { ARM_MODES } from '../../contract/notify.ts';
import type { ControlApiOptions } from '../options.ts';
import { Answer, route } from '../route.ts';
import { statusOf } from '../status.ts';
import { accepted, configVersion, configVersionView, outcome, outcomeView } from '../views.ts';

const result = z.object({ result: z.unknown() });
const fraction = z.number().min(0).max(1);
/** As the original system wrote them. */
const zone = z.strictObject({
  camera_id: z.string().optional(),
  zone_id: z.string().min(1),
  name: z.string().nullish(),
  bounds: z.tuple([fraction, fraction, fraction, fraction]),
  labels: z.array(z.string()).max(100).default([]),
  action: z.enum(['include', 'exclude']).default('include'),
});

export const COMMAND_ROUTES = [
  route({
    method: 'POST',
    path: '/api/commands',
    access: 'viewer',
    about: 'Any command of device/design/commands.md. Each has a role of its own.',
    body: z.unknown().meta(z.toJSONSchema(commandRequest)),
    answer: outcome,
    async handle({ api, caller, body }) {
      const outcome = await api.door.submit(body, caller);
      return new Answer(outcomeView(outcome), { status: outcome.ok ? 200 : statusOf(outcome.error.code) });
    },
  }),
  route({
    method: 'GET',
    path: '/api/config',
    access: 'operator',
    about: 'The configuration that counts now, with its fingerprint; secrets are not in it.',
    answer: z.object({ fingerprint: z.string(), data: z.unknown() }),
    handle: ({ api }) => api.config(),
  }),
  route({
    method: 'GET',
    path: '/api/config/history',
    access: 'operator',
    about: 'Configurations from before, newest first.',
    answer: z.object({ items: z.array(configVersion) }),
    handle: async ({ api }) => ({ items: (await api.configHistory()).map(configVersionView) }),
  }),
  route({
    method: 'PATCH',
    path: '/api/config',
    access: 'admin',
    about: 'Merges `changes` into the configuration: the command config.update.',
    body: z.strictObject({ changes: z.record(z.string(), z.unknown()), dry_run: z.boolean().default(false) }),
    answer: result,
    handle: async ({ api, caller, body }) => ({
      result: await command(api, caller, { command: 'config.update', arguments: body }),
    }),
  }),
  route({
    method: 'POST',
    path: '/api/config/rollback',
    access: 'admin',
    about: 'Back to a configuration by its fingerprint: the command config.rollback.',
    body: z.strictObject({ fingerprint: z.string() }),
    answer: result,
    handle: async ({ api, caller, body }) => ({
      result: await command(api, caller, { command: 'config.rollback', arguments: body }),
    }),
  }),
  route({
    method: 'GET',
    path: '/api/arm',
    access: 'viewer',
    about: 'The arm mode: the command arm.get.',
    answer: result,
    handle: async ({ api, caller }) => ({
      result: await command(api, caller, { command: 'arm.get', arguments: {} }),
    }),
  }),
  route({
    method: 'PUT',
    path: '/api/arm',
    access: 'operator',
    about: 'Switches the arm mode: the command arm.set.',
    body: z.strictObject({ mode: z.enum(ARM_MODES) }),
    answer: result,
    handle: async ({ api, caller, body }) => ({
      result: await command(api, caller, { command: 'arm.set', arguments: body }),
    }),
  }),
  route({
    method: 'GET',
    path: '/api/notifications',
    access: 'operator',
    about: 'The newest lines of the journal of notifications: the command notifications.list.',
    answer: result,
    handle: async ({ api, caller }) => ({
      result: await command(api, caller, { command: 'notifications.list', arguments: {} }),
    }),
  }),
  route({
    method: 'POST',
    path: '/cameras/{camera_id}/state',
    access: 'operator',
    about: 'Of the original system: switches a camera on or off.',
    params: z.object({ camera_id: z.string() }),
    body: z.object({ enabled: z.boolean() }),
    status: 202,
    answer: accepted,
    async handle({ api, caller, params, body: { enabled } }) {
      await command(api, caller, { command: 'camera.state', ...params, arguments: { enabled } });
      return { status: 'accepted' };
    },
  }),
  route({
    method: 'POST',
    path: '/config/zones',
    access: 'admin',
    about: 'Of the original system: replaces the zones of a camera.',
    body: z.object({ camera_id: z.string(), zones: z.array(zone).max(64) }),
    status: 202,
    answer: accepted,
    async handle({ api, caller, body: { camera_id, zones } }) {
      if (zones.length === 0) return zonesMissing();
      if (!api.cameras().some(({ cameraId }) => cameraId === camera_id))
        throw new CodedError('CAMERA_UNKNOWN', camera_id);
      const written = zones.map(({ zone_id, name, bounds, labels, action }) => ({
        id: zone_id,
        ...(name ? { name } : {}),
        bounds,
        labels,
        action,
      }));
      const changes = { cameras: { [camera_id]: { zones: written } } };
      await command(api, caller, { command: 'config.update', arguments: { changes } });
      return { status: 'accepted' };
    },
  }),
];

/** The result; throws the error that came of it. */
async function command(
  { door }: ControlApiOptions,
  caller: Caller,
  request: { command: CommandName; camera_id?: string; arguments: object },
): Promise<unknown> {
  const outcome = await door.submit(request, caller);
  if (!outcome.ok) throw CodedError.of(outcome.error);
  return outcome.result;
}

/** The original told this apart from zones that are not well formed. */
const zonesMissing = (): Answer =>
  new Answer({ error: new CodedError('REQUEST_INVALID', 'zones: is empty').report() }, { status: 400 });
