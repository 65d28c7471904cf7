/**
 * The settings value that the agent runs on: complete (every default applied), frozen, secrets included.
 * `settings/` makes it from files and environment; every room is handed only its own slice.
 */
import type { Role } from './access.ts';
import type { Box, Polygon } from './geometry.ts';
import type { BackendName } from './detect.ts';
import type { Trouble } from './modules.ts';
import type { GpioSettings } from './gpio.ts';
import type { NotifySettings } from './notify.ts';
import type { Recipient } from './recipient.ts';
import type { RemoteKind } from './sync.ts';

export type SourceSettings =
  | {
      readonly kind: 'rtsp';
      /** Without credentials. */
      readonly mainUrl: string;
      readonly subUrl: string | null;
      readonly transport: 'tcp' | 'udp';
      readonly username: string | null;
      readonly password: string | null;
      readonly audio: boolean;
    }
  | {
      readonly kind: 'v4l2';
      /** `/dev/v4l/by-id/…`, `/dev/video0`, or `auto` for the first attached camera. */
      readonly device: string;
      /** Wishes; the nearest mode the device has is taken. null = the device's best up to 1280×720@30. */
      readonly width: number | null;
      readonly height: number | null;
      readonly fps: number | null;
    }
  | {
      readonly kind: 'file';
      readonly path: string;
      /** Start again at the end. */
      readonly loop: boolean;
      /** true: at the file's own speed; false: as fast as frames are taken. */
      readonly paced: boolean;
    }
  | { readonly kind: 'pattern'; readonly width: number; readonly height: number; readonly fps: number };

export interface MotionSettings {
  /** 0 (blind) .. 1 (nervous). */
  readonly sensitivity: number;
  /** Areas to ignore. */
  readonly masks: readonly Polygon[];
}

export interface ZoneSettings {
  readonly id: string;
  readonly name: string;
  readonly area: Polygon;
  /** Empty: all labels. */
  readonly labels: readonly string[];
  /** An object standing in an `exclude` zone makes no event. With any `include` zone for its label, only those count. */
  readonly action: 'include' | 'exclude' | 'observe';
}

/** Limits are on the box area as a fraction of the picture. */
export interface ObjectFilter {
  readonly minScore: number;
  readonly minArea: number;
  readonly maxArea: number;
}

export interface CameraDetectionSettings {
  readonly enabled: boolean;
  /** Pictures analysed per second, at most. */
  readonly fps: number;
  /** Labels that may make events. */
  readonly labels: readonly string[];
  readonly filters: Readonly<Record<string, ObjectFilter>>;
  /** For labels without an entry in `filters`. */
  readonly defaultFilter: ObjectFilter;
}

/**
 * `events`: clips only, nothing is written while nothing happens. `continuous`: segments, always.
 * `motion`: segments while something moves or an event goes on, with pre- and post-roll.
 */
export type RecordingMode = 'events' | 'continuous' | 'motion';

/** What retention may delete, by how it came to be kept; `protected` footage is in neither class. */
export type FootageClass = 'continuous' | 'event';

/** null: no limit of this kind. */
export interface RetentionLimits {
  readonly maxAgeMs: number | null;
  readonly maxBytes: number | null;
}

export interface RecordingSettings {
  readonly enabled: boolean;
  readonly mode: RecordingMode;
  /** A segment ends at the first key frame after this long. */
  readonly segmentMs: number;
  readonly preRollMs: number;
  readonly postRollMs: number;
  /** A clip that would grow longer goes on in a new file without a gap. */
  readonly maxClipMs: number;
  /** Memory for packets of the recent past and for packets that wait for the disk. */
  readonly bufferBytes: number;
  /** For this camera, beside the limits that hold for all cameras together. */
  readonly retention: Readonly<Record<FootageClass, RetentionLimits>>;
}

/** A bucket that footage is copied to. */
export interface RemoteSettings {
  /** `https://host[:port]` */
  readonly endpoint: string;
  readonly bucket: string;
  /** null: what the server says. */
  readonly region: string | null;
  readonly pathStyle: boolean;
  /** Leads all keys; empty, or ends with `/`. */
  readonly prefix: string;
  readonly caFile: string | null;
  /** null: there are none in secrets.yaml. */
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken: string | null;
  } | null;
  readonly kinds: readonly RemoteKind[];
  readonly maxConcurrency: number;
  /** Larger files go in parts of this size. */
  readonly partBytes: number;
  readonly maxBytesPerSecond: number | null;
  /** `22:00-06:00`, `mon-fri 22:00-06:00`: when segments may be sent, by local time. Empty: always. */
  readonly windows: readonly string[];
  readonly isMetered: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly serverSideEncryption: {
    readonly algorithm: 'AES256' | 'aws:kms';
    readonly keyId: string | null;
  } | null;
  /** Whose private key opens what is sent; null: it is sent as it is. */
  readonly encryptTo: Recipient | null;
  readonly objectLock: { readonly mode: 'GOVERNANCE' | 'COMPLIANCE'; readonly ms: number } | null;
  /** How far back footage is copied that was there before; 0: none is. */
  readonly backfillMs: number;
  /** null: the bucket is compared only when somebody asks. */
  readonly checkIntervalMs: number | null;
}

export interface StorageSettings {
  /** Identity of the only disk that may be used; null: the one the index knows, or any when it knows none. */
  readonly mediaId: string | null;
  /** Kept free on the disk, whoever else writes to it. */
  readonly headroomBytes: number;
  readonly cleanupIntervalMs: number;
  /** For all cameras together. */
  readonly retention: Readonly<Record<FootageClass, RetentionLimits>>;
}

export interface CameraSettings {
  readonly cameraId: string;
  readonly name: string;
  readonly enabled: boolean;
  readonly source: SourceSettings;
  readonly motion: MotionSettings;
  readonly detection: CameraDetectionSettings;
  readonly zones: readonly ZoneSettings[];
  /** Blackened in every picture before anything else sees it: recorded, analysed, or taken as a still. */
  readonly privacyMasks: readonly Polygon[];
  readonly recording: RecordingSettings;
  /** Somebody wants a small animated picture of each event. */
  readonly previews: boolean;
}

/** Trouble made on purpose, on every topic or in every module that fits. */
export interface ScenarioSettings extends Trouble {
  readonly name: string;
  /** A topic or a glob; null: it is about modules. */
  readonly topic: string | null;
  /** A module's id or a glob; null: it is about topics. */
  readonly module: string | null;
  /** Armed from the start. */
  readonly enabled: boolean;
}

export interface DetectionSettings {
  readonly backend: BackendName | 'auto';
  readonly model: string;
  /** Model workers; 0 = one per core but one. */
  readonly workers: number;
}

/** Where messages are passed on to, kept while it cannot be reached. */
export interface BridgeSettings {
  /** `mqtt://host:port` or `mqtts://…`, without credentials. */
  readonly url: string;
  /** Globs over dotted names. */
  readonly topics: readonly string[];
  readonly username: string | null;
  readonly password: string | null;
  /** PEM file of who vouches for the other broker; null: whom the system trusts. */
  readonly caFile: string | null;
  /** What those who may publish there count as here; null: nobody there can ask for anything. */
  readonly commandsAs: Role | null;
  readonly maxMessages: number;
  readonly maxBytes: number;
}

export interface BusSettings {
  readonly host: string;
  readonly port: number;
  /** `read`: programs on this machine read without a name. Never from elsewhere, never with TLS. */
  readonly anonymous: 'read' | 'none';
  readonly tls: {
    readonly host: string;
    readonly port: number;
    /** `required`: nobody connects without one; `optional`: one may stand for name and password. */
    readonly clientCertificates: 'none' | 'optional' | 'required';
  } | null;
  readonly limits: {
    readonly connections: number;
    readonly connectionsPerAddress: number;
    readonly packetBytes: number;
    /** Of one client; what is more waits. */
    readonly packetsPerSecond: number;
  };
  /** What is kept for a client of QoS 1 that is away. */
  readonly sessions: {
    readonly maxMessages: number;
    readonly maxBytes: number;
    readonly maxAgeMs: number;
  };
  readonly bridge: BridgeSettings | null;
  readonly homeAssistant: {
    readonly prefix: string;
    /** It is given the last still of each camera, by MQTT. */
    readonly pictures: boolean;
    /** Where stills are served, for its picture entities; null: none. */
    readonly stillsUrl: string | null;
  } | null;
}

export interface GatewaySettings {
  readonly host: string;
  readonly port: number;
  /** Topics or globs: kept for who comes later, and told to who names none. */
  readonly topics: readonly string[];
  /** Messages that are kept. */
  readonly bufferSize: number;
  readonly keepaliveMs: number;
}

export interface Settings {
  readonly nodeId: string;
  readonly dataDir: string;
  readonly logLevel: string;
  readonly cameras: readonly CameraSettings[];
  readonly detection: DetectionSettings;
  readonly storage: StorageSettings;
  /** null: nothing is copied elsewhere. */
  readonly remote: RemoteSettings | null;
  readonly outputs: {
    /** Of `event.snapshot.allowed`, per camera. */
    readonly rateLimit: { readonly maxEvents: number; readonly perMs: number };
    readonly notify: NotifySettings;
  };
  readonly gpio: GpioSettings;
  /** Where bundles come from when nobody names a place; null: nobody said. */
  readonly updates: { readonly source: string | null };
  readonly resilience: {
    /** Whether the tester stands on the bus at all; its scenarios may then be armed at run time. */
    readonly enabled: boolean;
    readonly scenarios: readonly ScenarioSettings[];
  };
  readonly bus: BusSettings;
  readonly metrics: { readonly host: string; readonly port: number };
  readonly controlApi: { readonly host: string; readonly port: number };
  readonly gateway: GatewaySettings;
}

/** `[x1, y1, x2, y2]` as the polygon of its corners. */
export const boxPolygon = ([x1, y1, x2, y2]: Box): Polygon => [
  [x1, y1],
  [x2, y1],
  [x2, y2],
  [x1, y2],
];
