/**
 * Keys of the original system's config.yaml and secrets.yaml: where they are now, or that they have no effect any more.
 * Of config.yaml passwords and tokens are in no line: what is accepted there is shown in diffs and history. Pure.
 */
import type { ErrorCode } from '../contract/errors.ts';
import { isTree, setAt, valueAt, type Path, type Tree } from './tree.ts';

interface Alias {
  /** `*` stands for each camera. */
  readonly from: string;
  /** Keys that have the meaning now. */
  readonly to: readonly string[];
  /** From the old unit to the new; what it cannot make sense of it returns as it is, for the schema to refuse. */
  readonly convert?: (value: unknown) => unknown;
  /** Where nothing has the meaning: what to look at. */
  readonly instead?: string;
}

export interface OldKey {
  readonly code: Extract<ErrorCode, 'CONFIG_KEY_RENAMED' | 'CONFIG_KEY_RETIRED'>;
  readonly path: Path;
  /** What became of it. */
  readonly text: string;
}

const moved = (from: string, to: string | readonly string[], convert?: Alias['convert']): Alias => ({
  from,
  to: typeof to === 'string' ? [to] : to,
  ...(convert && { convert }),
});
const retired = (from: string, instead: string): Alias => ({ from, to: [], instead });

const daysOfHours = (hours: unknown): unknown => (typeof hours === 'number' ? hours / 24 : hours);
const fpsOfInterval = (seconds: unknown): unknown =>
  typeof seconds === 'number' && seconds > 0 ? Math.min(30, Math.max(0.1, 1 / seconds)) : seconds;

const TRACKED = 'an object is followed from its coming to its going and makes one event';
const CLIPS = 'see cameras.<id>.recording';
const CERTIFICATES = 'TLS is always on; certificates in the directory certs take the place of its own';
const MANIFEST = 'see --module and --skip-module';
const TOPIC = 'topics have fixed names';
const UNUSED = 'nothing depends on it';

/** In this order: where two old keys mean the same, the first wins. Groups come after their keys. */
const ALIASES: readonly Alias[] = [
  moved('camera', 'cameras', (camera) => [camera]),
  retired('cameras.*.interval_seconds', 'see cameras.<id>.fps'),

  moved('detection.alert_pipeline.target_labels', 'cameras.*.detection.labels'),
  moved('detection.alert_pipeline.min_confidence', 'cameras.*.detection.min_score'),
  retired('detection.alert_pipeline', TRACKED),
  moved('alert_pipeline.target_labels', 'cameras.*.detection.labels'),
  moved('alert_pipeline.min_confidence', 'cameras.*.detection.min_score'),
  retired('alert_pipeline', TRACKED),
  moved('detection.alert_labels', 'cameras.*.detection.labels'),
  moved('detection.confidence', 'cameras.*.detection.min_score'),
  moved('detection.interval', 'cameras.*.detection.fps', fpsOfInterval),
  retired('detection.class_filter', 'see cameras.<id>.detection.labels'),
  retired('detection.model_path', 'see detection.model and `spyoncino models`'),
  retired('detection.motion_threshold', 'see cameras.<id>.motion.sensitivity'),
  retired('detection.record_frames', UNUSED),
  retired('detection.label_cooldown_seconds', TRACKED),
  retired('detection.person_cooldown_seconds', TRACKED),
  retired('detection.bbox_overlap_threshold', TRACKED),
  retired('detection.dedupe', TRACKED),
  retired('dedupe', TRACKED),
  retired('detection.zoning', 'zones belong to their camera: cameras.<id>.zones'),
  retired('zoning', 'zones belong to their camera: cameras.<id>.zones'),
  retired('detection.notifications', CLIPS),
  retired('detection.media_artifacts', CLIPS),
  retired('media_artifacts', CLIPS),
  retired('clip', CLIPS),

  moved(
    'storage.retention_hours',
    ['storage.retention.continuous.max_days', 'storage.retention.event.max_days'],
    daysOfHours,
  ),
  retired('storage.aggressive_cleanup_hours', 'the oldest goes when space runs out'),
  retired('storage.snap_subdir', 'places within the data directory are fixed'),
  retired('storage.gif_subdir', 'places within the data directory are fixed'),
  retired('storage.video_subdir', 'places within the data directory are fixed'),
  retired('storage.artifact_globs', 'nothing is deleted that the agent did not make'),
  retired('storage.stats_topic', TOPIC),
  moved('storage.remote.bucket_name', 'storage.remote.bucket'),
  moved('storage.s3.enabled', 'storage.remote.enabled'),
  moved('storage.s3.bucket', 'storage.remote.bucket'),
  moved('storage.s3.region_name', 'storage.remote.region'),
  moved('storage.s3.prefix', 'storage.remote.prefix'),
  moved('storage.s3.endpoint_url', 'storage.remote.endpoint'),
  moved('storage.s3.max_concurrency', 'storage.remote.max_concurrency'),
  moved('storage.s3.lifecycle_tags', 'storage.remote.lifecycle_tags'),
  retired('storage.s3.queue_size', 'what waits is kept in the index, however much'),
  retired('storage.s3.multipart_threshold_mb', 'see storage.remote.part_mb'),
  retired('storage.s3.multipart_chunks_mb', 'see storage.remote.part_mb'),
  retired('storage.s3.upload_topics', 'see storage.remote.kinds'),
  retired('storage.s3.publish_topic', TOPIC),
  retired('storage.s3.discrepancy_topic', TOPIC),
  retired('storage.s3.remote_tracking_window_seconds', 'see storage.remote.check_hours'),

  retired('analytics', 'the index of events is always kept, as long as their footage'),

  retired('system.monitoring', UNUSED),
  retired('system.logging.log_format', 'lines are JSON'),
  retired('system.logging.log_max_size_mb', 'lines go to the journal'),
  retired('system.logging.log_backup_count', 'lines go to the journal'),
  retired('system.advanced', UNUSED),
  retired('system.behavior', UNUSED),
  retired('system.rate_limiting', 'limits of log-in and commands are built in'),
  retired('system.resilience.command_topic', TOPIC),
  retired('system.resilience.status_topic', TOPIC),
  retired('system.control_api.serve_api', MANIFEST),
  retired('system.control_api.command_topic', TOPIC),
  retired('system.control_api.config_topic', TOPIC),
  retired('system.control_api.tls', CERTIFICATES),

  moved('websocket_gateway.host', 'dashboards.websocket_gateway.host'),
  moved('websocket_gateway.port', 'dashboards.websocket_gateway.port'),
  moved('websocket_gateway.topics', 'dashboards.websocket_gateway.topics'),
  moved('websocket_gateway.buffer_size', 'dashboards.websocket_gateway.buffer_size'),
  moved('websocket_gateway.idle_timeout_seconds', 'dashboards.websocket_gateway.idle_timeout_seconds'),
  retired('websocket_gateway', CERTIFICATES),
  retired('dashboards.websocket_gateway.serve_http', MANIFEST),
  retired('dashboards.websocket_gateway.tls', CERTIFICATES),
  retired('dashboards.modules', MANIFEST),

  moved('rate_limit.max_events', 'outputs.rate_limit.max_events'),
  moved('rate_limit.per_seconds', 'outputs.rate_limit.per_seconds'),
  retired('rate_limit', 'the limit goes by camera'),
  retired('outputs.rate_limit.input_topic', TOPIC),
  retired('outputs.rate_limit.output_topic', TOPIC),
  retired('outputs.rate_limit.key_field', 'the limit goes by camera'),
  retired('outputs.modules', MANIFEST),
  retired('modules', MANIFEST),
];

/**
 * Keys of the original system's secrets.yaml: credentials, and beside them what is no secret and belongs into
 * config.yaml now.
 */
const SECRET_ALIASES: readonly (Alias & { readonly file: 'config' | 'secrets' })[] = [
  { ...moved('s3.access_key_id', 'storage.remote.access_key_id'), file: 'secrets' },
  { ...moved('s3.secret_access_key', 'storage.remote.secret_access_key'), file: 'secrets' },
  { ...moved('s3.session_token', 'storage.remote.session_token'), file: 'secrets' },
  { ...moved('s3.bucket', 'storage.remote.bucket'), file: 'config' },
  { ...moved('s3.region', 'storage.remote.region'), file: 'config' },
  { ...moved('s3.endpoint_url', 'storage.remote.endpoint'), file: 'config' },
  {
    ...retired('s3.iam_profile', 'keys are needed: storage.remote.access_key_id and secret_access_key'),
    file: 'secrets',
  },
];

/** Old keys that every part of the table knows; for tests and the reference. */
export const OLD_KEYS: readonly Alias[] = ALIASES;
export const OLD_SECRETS: typeof SECRET_ALIASES = SECRET_ALIASES;

/**
 * Gives values under old keys of `config` their place of now, and says which those were. Where the new key is
 * there as well, the new one wins.
 */
export function translateOldKeys(config: Tree): readonly OldKey[] {
  const found: OldKey[] = [];
  for (const alias of ALIASES) {
    for (const path of expand(alias.from, config)) {
      const value = valueAt(config, path);
      if (value === undefined) continue;
      removeAt(config, path);
      if (isTree(value) && Object.keys(value).length === 0) continue;
      found.push({ path, ...outcome(alias, config, value) });
    }
  }
  return found;
}

/** The same for `secrets`; what is no secret goes into `config`, where that says nothing of it. No value is told. */
export function translateOldSecrets(secrets: Tree, config: Tree): readonly OldKey[] {
  return SECRET_ALIASES.flatMap(({ file, ...alias }) => {
    const path = alias.from.split('.');
    const value = valueAt(secrets, path);
    if (value === undefined) return [];
    removeAt(secrets, path);
    const { code, text } = outcome(alias, file === 'config' ? config : secrets, value);
    const where = file === 'config' ? ', in config.yaml' : '';
    return [{ path, code, text: code === 'CONFIG_KEY_RENAMED' ? `${text}${where}` : text }];
  });
}

/**
 * The same changes under the names of now, as far as a change can be told without knowing the rest; `written` is
 * what they will be merged into, from which the old key then goes.
 */
export function renameOldKeys(changes: Tree, written: Tree): Tree {
  const renamed = structuredClone(changes);
  for (const { from, to, convert } of ALIASES) {
    const [target] = to;
    const path = from.split('.');
    const value = valueAt(renamed, path);
    if (to.length !== 1 || !target || convert || `${from}${target}`.includes('*') || value === undefined)
      continue;
    if (valueAt(renamed, target.split('.')) === undefined) setAt(renamed, asPlace(target), value);
    if (valueAt(written, path) === undefined) removeAt(renamed, path);
    else setAt(renamed, asPlace(from), null);
  }
  return renamed;
}

function outcome(
  { to, convert, instead }: Alias,
  config: Tree,
  value: unknown,
): Pick<OldKey, 'code' | 'text'> {
  if (to.length === 0) return { code: 'CONFIG_KEY_RETIRED', text: `has no effect: ${instead}` };
  const places = to.flatMap((name) => expand(name, config));
  const free = places.filter((place) => (valueAt(config, place) ?? null) === null);
  if (value !== null) {
    for (const place of free)
      setAt(config, place as [string, ...string[]], structuredClone(convert ? convert(value) : value));
  }
  const now = to.join(' and ').replace('.*.', '.<id>.');
  const some =
    free.length === places.length ? '' : free.length === 0 ? ', which wins' : ', which wins where it is set';
  return { code: 'CONFIG_KEY_RENAMED', text: `is now ${now}${some}` };
}

/** The paths that `name` stands for: one for each camera where it has a `*`. */
function expand(name: string, config: Tree): readonly Path[] {
  const path = name.split('.');
  if (!path.includes('*')) return [path];
  const cameras = config['cameras'];
  if (!Array.isArray(cameras)) return [];
  return cameras.flatMap((camera: unknown, at) =>
    isTree(camera) ? [path.map((key) => (key === '*' ? at : key))] : [],
  );
}

/** Groups that are empty without it go as well. */
function removeAt(root: Tree, path: Path): void {
  const parents = path.slice(0, -1);
  const parent = valueAt(root, parents);
  if (!isTree(parent)) return;
  delete parent[String(path.at(-1))];
  const isGroup = typeof parents.at(-1) === 'string';
  if (isGroup && Object.keys(parent).length === 0) removeAt(root, parents);
}

const asPlace = (name: string): [string, ...string[]] => name.split('.') as [string, ...string[]];
