import type { Cameras } from './cameras.ts';
import { CodedError } from './contract/errors.ts';
import type { Cursor, EventSummary, Page } from './contract/library.ts';
import { moduleName, type Module } from './contract/modules.ts';
import type { Handlers, Order } from './control/index.ts';
import type { GpioDesk } from './gpio-desk.ts';
import type { Clock } from './kernel/clock.ts';
import type { Library } from './library/index.ts';
import type { BotAccess, Notify } from './notify/index.ts';
import type { ConfigKeeper, UpdateResult } from './settings/index.ts';
import type { StatusDesk } from './status-desk.ts';
import type { StorageDesk } from './storage-desk.ts';
import { slotsPayload, targetPayload, viewPayload } from './update-desk.ts';
import type { Updater } from './update/index.ts';
import type { UploadDesk } from './upload-desk.ts';

export interface HandlersOptions {
  readonly modules: () => readonly Module[];
  readonly cameras: Cameras;
  readonly library: Library;
  readonly storage: StorageDesk;
  readonly notify: Notify;
  readonly botAccess: BotAccess;
  readonly status: Pick<StatusDesk, 'health'>;
  readonly uploads: UploadDesk;
  readonly gpio: GpioDesk;
  readonly updater: Updater;
  readonly config: ConfigKeeper;
  readonly factoryReset: () => Promise<{ restarting: true }>;
  /** null while the resilience tester is not loaded. */
  readonly toggleScenario: ((name: string, enabled: boolean) => void) | null;
  readonly clock: Clock;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** Enough for a summary of a busy week; beyond it numbers would be wrong, so it says so. */
const MAX_SUMMARISED = 100_000;

/** What each command of the table does, with the parts of the agent that do it. */
export function createHandlers(o: HandlersOptions): Handlers {
  const setPaused = async (name: string, paused: boolean): Promise<{ modules: readonly string[] }> => {
    const named = o.modules().filter((module) => module.id === name || moduleName(module) === name);
    if (named.length === 0) throw new CodedError('MODULE_UNKNOWN', name);
    const pausable = named.flatMap(({ pausing }) => pausing ?? []);
    if (pausable.length === 0) throw new CodedError('MODULE_NOT_PAUSABLE', name);
    await Promise.all(pausable.map(async (pausing) => pausing.setPaused(paused)));
    return { modules: named.map(moduleName) };
  };
  const pause = ({ module }: Pick<Order, 'module'>) => setPaused(module, true);
  const resume = ({ module }: Pick<Order, 'module'>) => setPaused(module, false);

  return {
    'pipeline.pause': pause,
    'module.disable': pause,
    'pipeline.resume': resume,
    'module.enable': resume,

    async 'camera.state'({ cameraId, arguments: { enabled }, caller }) {
      const known = o.config.current.settings.cameras.some((camera) => camera.cameraId === cameraId);
      if (!known) throw new CodedError('CAMERA_UNKNOWN', cameraId);
      const changes = { cameras: { [cameraId]: { enabled } } };
      return updated(await o.config.update({ author: caller.user, changes }));
    },
    'camera.snapshot': async ({ cameraId }) => {
      const { path, utcMs, sizeBytes } = await o.cameras.desk(cameraId).snapshot();
      return { camera_id: cameraId, path, ts: utcMs, size_bytes: sizeBytes, content_type: 'image/jpeg' };
    },
    'event.create': async ({ cameraId, arguments: { label, duration_seconds } }) => ({
      event_id: await o.cameras.desk(cameraId).testEvent(label, duration_seconds * 1000),
    }),

    'storage.cleanup': async ({ arguments: { mode } }) => await o.storage.cleanUpNow(mode === 'aggressive'),
    'storage.compare': async () => {
      const { missing, orphaned, totalLocal, totalRemote, queuedAgain } = await o.uploads.compare();
      return {
        missing: missing.length,
        orphaned: orphaned.length,
        total_local: totalLocal,
        total_remote: totalRemote,
        queued_again: queuedAgain,
      };
    },
    'storage.protect': async ({ arguments: { id, protected: isProtected } }) =>
      await o.library.ask('protect', { id, isProtected }),

    async 'recordings.list'({ arguments: { camera_id, label, from_ts, to_ts, limit } }) {
      const { items } = await o.library.ask('listEvents', {
        ...(camera_id === undefined ? {} : { cameraId: camera_id }),
        ...(label === undefined ? {} : { label }),
        ...(from_ts === undefined ? {} : { startUtcMs: from_ts }),
        ...(to_ts === undefined ? {} : { endUtcMs: to_ts }),
        limit,
      });
      return { items: items.map(item) };
    },
    async 'recordings.get'({ arguments: wanted }) {
      const eventId = 'item_id' in wanted ? wanted.item_id : await latestOf(o.library, wanted.camera_id);
      const event = await o.library.ask('getEvent', { eventId });
      const clipId = event?.clipId ?? eventId;
      const { path } = await o.library.ask('materialiseClip', clipId);
      return { item_id: eventId, camera_id: event?.cameraId ?? null, path, content_type: 'video/mp4' };
    },

    async 'analytics.timeline'({ arguments: { hours, camera_id } }) {
      const ids = camera_id === undefined ? o.cameras.ids : [camera_id];
      const endUtcMs = o.clock.utcMs();
      const startUtcMs = endUtcMs - hours * HOUR_MS;
      const cameras = await Promise.all(
        ids.map(async (cameraId) => {
          const { coverage, gaps, events } = await o.library.ask('timeline', {
            cameraId,
            startUtcMs,
            endUtcMs,
          });
          return {
            camera_id: cameraId,
            coverage: coverage.map((range) => ({ start_ts: range.startUtcMs, end_ts: range.endUtcMs })),
            gaps: gaps.map((gap) => ({ start_ts: gap.startUtcMs, end_ts: gap.endUtcMs, reason: gap.reason })),
            events: events.map(item),
          };
        }),
      );
      return { hours, start_ts: startUtcMs, end_ts: endUtcMs, cameras };
    },
    'analytics.summary': async ({ arguments: { hours } }) => await summary(o, hours),

    'arm.set': async ({ arguments: { mode }, caller }) => {
      await o.notify.arm.set(mode, caller.user);
      return o.notify.arm.state;
    },
    'arm.get': () => o.notify.arm.state,
    'notifications.mute': async ({ arguments: { minutes } }) => {
      await o.notify.arm.mute(minutes * MINUTE_MS);
      return o.notify.arm.state;
    },
    'notifications.list': async ({ arguments: { limit } }) => ({
      items: (await o.library.ask('listAttempts', { limit })).map(
        ({ lane, noticeId, atUtcMs, outcome, action, tries, reason }) => ({
          ts: atUtcMs,
          target: lane,
          notice_id: noticeId,
          outcome,
          action,
          tries,
          reason,
        }),
      ),
    }),
    'system.notification.test': async ({ arguments: { channel } }) => {
      const results = await o.notify.test(channel ?? null);
      return { ok: results.every(({ error }) => error === null), results };
    },

    'gpio.pulse': async ({ arguments: { output, seconds } }) => {
      const { started, endUtcMs } = await o.gpio.pulse(output, seconds === undefined ? null : seconds * 1000);
      return { output, started, end_ts: endUtcMs };
    },
    'gpio.stop': async ({ arguments: { output } }) => ({ outputs: await o.gpio.quiet(output ?? null) }),

    'system.status': () => o.status.health(),
    'system.factory_reset': () => o.factoryReset(),
    'telegram.users': async ({ arguments: wanted }) => {
      if (wanted.action === 'add') await o.botAccess.add(wanted.user_id);
      else if (wanted.action === 'remove') await o.botAccess.remove(wanted.user_id);
      return { users: o.botAccess.users };
    },

    'config.get': ({ arguments: { key } }) => {
      const { config, fingerprint } = o.config.current;
      return { fingerprint, data: key === undefined ? config : below(config, key) };
    },
    async 'config.update'({ arguments: wanted, caller }) {
      const changes =
        'reload' in wanted ? null : 'key' in wanted ? nested(wanted.key, wanted.value) : wanted.changes;
      const request = { author: caller.user, changes, dryRun: wanted.dry_run };
      return updated(await o.config.update(request));
    },
    'config.rollback': async ({ arguments: { fingerprint }, caller }) =>
      updated(await o.config.rollback({ author: caller.user, fingerprint })),

    'update.check': async ({ arguments: { source } }) => {
      const { isNewer, target } = await o.updater.check(source ?? null);
      return { ...targetPayload(target), running: o.updater.view.version, newer: isNewer };
    },
    'update.install': async ({ arguments: { source, ...how } }) =>
      targetPayload(await o.updater.install({ source: source ?? null, ...how })),
    'update.status': async () => ({
      ...viewPayload(o.updater.view),
      system: slotsPayload(await o.updater.slots()),
    }),
    'update.rollback': async ({ arguments: how }) => {
      const { bootName, version } = await o.updater.rollback(how);
      return { slot: bootName, version };
    },

    'resilience.toggle': ({ arguments: { name, enabled } }) => {
      if (!o.toggleScenario) {
        throw new CodedError('MODULE_UNKNOWN', 'modules.status.resilience_tester; add it with --module');
      }
      o.toggleScenario(name, enabled);
      return { name, enabled };
    },
  };
}

async function latestOf(library: Library, cameraId: string): Promise<string> {
  const { items } = await library.ask('listEvents', { cameraId, limit: 1 });
  const [latest] = items;
  if (!latest) throw new CodedError('FOOTAGE_NOT_FOUND', cameraId);
  return latest.eventId;
}

async function summary({ library, clock }: HandlersOptions, hours: number): Promise<object> {
  const endUtcMs = clock.utcMs();
  const startUtcMs = endUtcMs - hours * HOUR_MS;
  const byLabel: Record<string, number> = {};
  const byCamera: Record<string, number> = {};
  const byHour = new Map<number, Record<string, number>>();
  let total = 0;
  let first: number | null = null;
  let last: number | null = null;
  let after: Cursor | null = null;
  do {
    const page: Page<EventSummary> = await library.ask('listEvents', {
      startUtcMs,
      endUtcMs,
      limit: 500,
      ...(after ? { after } : {}),
    });
    for (const { label, cameraId, startUtcMs: atUtcMs } of page.items) {
      byLabel[label] = (byLabel[label] ?? 0) + 1;
      byCamera[cameraId] = (byCamera[cameraId] ?? 0) + 1;
      const hour = startUtcMs + Math.floor(Math.max(0, atUtcMs - startUtcMs) / HOUR_MS) * HOUR_MS;
      const inHour = byHour.get(hour) ?? {};
      byHour.set(hour, { ...inHour, [label]: (inHour[label] ?? 0) + 1 });
      total++;
      last ??= atUtcMs;
      first = atUtcMs;
    }
    after = page.next;
  } while (after && total < MAX_SUMMARISED);
  return {
    hours,
    start_ts: startUtcMs,
    end_ts: endUtcMs,
    by_hour: Array.from(byHour, ([start_ts, by_type]) => ({ start_ts, by_type })).toReversed(),
    stats: {
      total_events: total,
      by_type: byLabel,
      by_camera: byCamera,
      first_event: first,
      last_event: last,
      is_complete: after === null,
    },
  };
}

const item = (event: EventSummary) => ({
  id: event.eventId,
  label: event.label,
  score: event.score,
  camera_id: event.cameraId,
  zones: event.zones,
  start_ts: event.startUtcMs,
  end_ts: event.endUtcMs,
  still: event.stillPath,
  clip_id: event.clipId,
  protected: event.isProtected,
});

const updated = ({ fingerprint, changes, plan, summary }: UpdateResult) => ({
  fingerprint,
  changes,
  summary,
  at_next_start: plan.atNextStart,
});

/** `cameras.porch.fps` and 5 → `{cameras: {porch: {fps: 5}}}` */
const nested = (key: string, value: unknown): Record<string, unknown> =>
  key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as Record<string, unknown>;

/** @throws CodedError COMMAND_INVALID where there is no such key */
function below(config: unknown, key: string): unknown {
  return key.split('.').reduce<unknown>((inner, name) => {
    if (typeof inner !== 'object' || inner === null || !Object.hasOwn(inner, name)) {
      throw new CodedError('COMMAND_INVALID', `there is no key "${key}"`);
    }
    return (inner as Record<string, unknown>)[name];
  }, config);
}
