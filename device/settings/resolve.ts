/** From the keys that people write to the value that the agent runs on. Pure. */
import { resolve } from 'node:path';
import { parseRecipient } from '../contract/recipient.ts';
import {
  boxPolygon,
  type BusSettings,
  type CameraSettings,
  type FootageClass,
  type ObjectFilter,
  type RemoteSettings,
  type RetentionLimits,
  type Settings,
  type SourceSettings,
} from '../contract/settings.ts';
import { resolveGpio } from './resolve-gpio.ts';
import { resolveNotify, wantsPreviews } from './resolve-outputs.ts';
import { sourcesOf, type CameraConfig, type Config, type Secrets } from './schema.ts';

export interface Surroundings {
  /** Relative paths in the configuration start here. */
  readonly configDir: string;
  /** Where data goes unless the configuration says otherwise, or in any case when it was asked for. */
  readonly dataDir: string;
  readonly dataDirAsked: boolean;
  readonly hostname: string;
}

/** Where data goes, with what `storage.path` says. */
export const dataDirOf = (
  { configDir, dataDir, dataDirAsked }: Omit<Surroundings, 'hostname'>,
  path: string | undefined,
): string => (dataDirAsked || path === undefined ? dataDir : resolve(configDir, path));

export function resolveSettings(config: Config, secrets: Secrets, around: Surroundings): Settings {
  const { node, detection, bus, metrics, system, dashboards, storage, outputs } = config;
  const gateway = dashboards.websocket_gateway;
  return freeze({
    nodeId: node.id ?? nodeIdOf(around.hostname),
    dataDir: dataDirOf(around, storage.path),
    logLevel: pinoLevel(system.logging.log_level),
    cameras: config.cameras.map((camera) => ({
      ...resolveCamera(camera, secrets, around.configDir),
      previews: wantsPreviews(outputs, camera.camera_id),
    })),
    detection,
    storage: {
      mediaId: storage.media_id ?? null,
      headroomBytes: storage.low_space_threshold_gb * GB,
      cleanupIntervalMs: storage.cleanup_interval_seconds * 1000,
      retention: resolveRetention(storage.retention),
    },
    remote: resolveRemote(config, secrets, around),
    outputs: {
      rateLimit: {
        maxEvents: outputs.rate_limit.max_events,
        perMs: outputs.rate_limit.per_seconds * 1000,
      },
      notify: resolveNotify(config, secrets, around.configDir),
    },
    gpio: resolveGpio(config.gpio),
    updates: { source: system.updates.source ?? null },
    resilience: {
      enabled: system.resilience.enabled,
      scenarios: system.resilience.scenarios.map(
        ({ name, topic, module, latency_ms, drop_probability, error_probability, enabled }) => ({
          name,
          topic: topic ?? null,
          module: module ?? null,
          latencyMs: latency_ms,
          dropProbability: drop_probability,
          errorProbability: error_probability,
          enabled,
        }),
      ),
    },
    bus: resolveBus(bus, secrets, around.configDir),
    metrics,
    controlApi: system.control_api,
    gateway: {
      host: gateway.host,
      port: gateway.port,
      topics: gateway.topics,
      bufferSize: gateway.buffer_size,
      keepaliveMs: gateway.idle_timeout_seconds * 1000,
    },
  });
}

function resolveBus(config: Config['bus'], secrets: Secrets, configDir: string): BusSettings {
  const { host, port, anonymous, tls, limits, sessions, bridge, home_assistant } = config;
  const secret = secrets.bus.bridge;
  return {
    host,
    port,
    anonymous,
    tls: tls.enabled ? { host: tls.host, port: tls.port, clientCertificates: tls.client_certificates } : null,
    limits: {
      connections: limits.connections,
      connectionsPerAddress: limits.connections_per_address,
      packetBytes: limits.packet_kb * 1024,
      packetsPerSecond: limits.packets_per_second,
    },
    sessions: {
      maxMessages: sessions.max_messages,
      maxBytes: sessions.max_kb * 1024,
      maxAgeMs: sessions.max_hours * 3_600_000,
    },
    bridge: bridge
      ? {
          url: bridge.url,
          topics: bridge.topics,
          username: secret.username ?? bridge.username ?? null,
          password: secret.password ?? null,
          caFile: bridge.ca_file ? resolve(configDir, bridge.ca_file) : null,
          commandsAs: bridge.commands_as ?? null,
          maxMessages: bridge.max_messages,
          maxBytes: bridge.max_mb * 1_000_000,
        }
      : null,
    homeAssistant: home_assistant.enabled
      ? {
          prefix: home_assistant.prefix,
          pictures: home_assistant.pictures,
          stillsUrl: home_assistant.stills_url ?? null,
        }
      : null,
  };
}

function resolveRemote(
  { node, storage: { remote } }: Config,
  secrets: Secrets,
  { configDir, hostname }: Surroundings,
): RemoteSettings | null {
  const { endpoint, bucket, object_lock } = remote;
  if (!remote.enabled || !endpoint || !bucket) return null;
  const { access_key_id, secret_access_key, session_token } = secrets.storage.remote;
  return {
    endpoint,
    bucket,
    region: remote.region ?? null,
    pathStyle: remote.path_style,
    prefix: remote.prefix ?? `${node.id ?? nodeIdOf(hostname)}/`,
    caFile: remote.ca_file ? resolve(configDir, remote.ca_file) : null,
    credentials:
      access_key_id && secret_access_key
        ? {
            accessKeyId: access_key_id,
            secretAccessKey: secret_access_key,
            sessionToken: session_token ?? null,
          }
        : null,
    kinds: remote.kinds,
    maxConcurrency: remote.max_concurrency,
    partBytes: remote.part_mb * 2 ** 20,
    maxBytesPerSecond: remote.max_mbit_per_s === null ? null : (remote.max_mbit_per_s * 1e6) / 8,
    windows: remote.windows,
    isMetered: remote.metered,
    tags: remote.lifecycle_tags,
    serverSideEncryption:
      remote.server_side_encryption === 'none'
        ? null
        : { algorithm: remote.server_side_encryption, keyId: remote.kms_key_id ?? null },
    encryptTo: remote.encrypt_to ? parseRecipient(remote.encrypt_to) : null,
    objectLock: object_lock ? { mode: object_lock.mode, ms: object_lock.days * DAY_MS } : null,
    backfillMs: remote.backfill_days * DAY_MS,
    checkIntervalMs: remote.check_hours === 0 ? null : remote.check_hours * 3_600_000,
  };
}

const GB = 1e9;
const DAY_MS = 86_400_000;

function resolveRetention(config: Config['storage']['retention']): Record<FootageClass, RetentionLimits> {
  const resolve = ({ max_days, max_gb }: (typeof config)[FootageClass]): RetentionLimits => ({
    maxAgeMs: max_days === null ? null : max_days * DAY_MS,
    maxBytes: max_gb === null ? null : max_gb * GB,
  });
  return { continuous: resolve(config.continuous), event: resolve(config.event) };
}

function resolveCamera(
  config: CameraConfig,
  secrets: Secrets,
  configDir: string,
): Omit<CameraSettings, 'previews'> {
  const { camera_id, name, enabled, motion, detection, zones, recording } = config;
  const { min_score } = detection;
  return {
    cameraId: camera_id,
    name: name ?? camera_id,
    enabled,
    source: resolveSource(config, secrets, configDir),
    motion,
    detection: {
      enabled: detection.enabled,
      fps: detection.fps,
      labels: detection.labels,
      filters: Object.fromEntries(
        Object.entries(detection.filters).map(([label, filter]): [string, ObjectFilter] => [
          label,
          {
            minScore: filter.min_score ?? min_score,
            minArea: filter.min_area,
            maxArea: filter.max_area,
          },
        ]),
      ),
      defaultFilter: { minScore: min_score, minArea: 0, maxArea: 1 },
    },
    zones: zones.map(({ id, name, bounds, polygon, labels, action }) => ({
      id,
      name: name ?? id,
      area: polygon ?? (bounds ? boxPolygon(bounds) : []),
      labels,
      action,
    })),
    privacyMasks: config.privacy_masks,
    recording: {
      enabled: recording.enabled,
      mode: recording.mode,
      segmentMs: recording.segment_seconds * 1000,
      preRollMs: recording.pre_seconds * 1000,
      postRollMs: recording.post_seconds * 1000,
      maxClipMs: recording.max_clip_seconds * 1000,
      bufferBytes: recording.buffer_mb * 1_000_000,
      retention: resolveRetention(recording.retention),
    },
  };
}

/** Test pictures are as large and as many as most cameras' sub-streams. */
const PATTERN = { width: 640, height: 360, fps: 15 };

function resolveSource(config: CameraConfig, secrets: Secrets, configDir: string): SourceSettings {
  const { rtsp_url, usb_port, video_file, width, height, fps } = config;
  const [source] = sourcesOf(config);
  switch (source) {
    case 'rtsp_url': {
      const secret = secrets.cameras[config.camera_id];
      return {
        kind: 'rtsp',
        mainUrl: rtsp_url ?? '',
        subUrl: config.rtsp_sub_url ?? null,
        transport: config.rtsp_transport,
        username: secret?.username ?? config.username ?? null,
        password: secret?.password ?? null,
        audio: config.audio,
      };
    }
    case 'video_file':
      return {
        kind: 'file',
        path: resolve(configDir, video_file ?? ''),
        loop: config.video_loop,
        paced: true,
      };
    case 'test_pattern':
      return {
        kind: 'pattern',
        width: width ?? PATTERN.width,
        height: height ?? PATTERN.height,
        fps: fps ?? PATTERN.fps,
      };
    default:
      return {
        kind: 'v4l2',
        device: typeof usb_port === 'number' ? `/dev/video${usb_port}` : (usb_port ?? 'auto'),
        width: width ?? null,
        height: height ?? null,
        fps: fps ?? null,
      };
  }
}

const PINO_NAMES: Readonly<Record<string, string>> = { warning: 'warn', critical: 'fatal' };

const pinoLevel = (level: string): string => PINO_NAMES[level.toLowerCase()] ?? level.toLowerCase();

/** The first label of the host name, made fit for topics. */
function nodeIdOf(hostname: string): string {
  const [label = ''] = hostname.toLowerCase().split('.');
  return (
    label
      .replaceAll(/[^a-z0-9_-]/g, '-')
      .replace(/^[-_]+/, '')
      .slice(0, 63) || 'spyoncino'
  );
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) freeze(child);
  return Object.freeze(value);
}
