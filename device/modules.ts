import type { Bus } from './bus/index.ts';
import type { Cameras, CameraSlot } from './cameras.ts';
import type { ErrorReport } from './contract/errors.ts';
import type { Module, ModuleHealth, ModuleStatus } from './contract/modules.ts';
import type { CameraSettings, DetectionSettings, SourceSettings } from './contract/settings.ts';
import type { DetectDesk } from './detect-desk.ts';
import type { HealthSummary } from './health/index.ts';
import type { Slot } from './kernel/slot.ts';
import type { Library } from './library/index.ts';
import type { HealthLevel } from './settings/index.ts';
import type { StorageDesk } from './storage-desk.ts';

export interface ModulesOptions {
  readonly cameras: Cameras;
  readonly detector: Slot<DetectionSettings, DetectDesk>;
  readonly storage: StorageDesk;
  readonly library: Library;
  /** Of rooms that say themselves how they are. */
  readonly others: readonly Module[];
}

/** The parts of the agent under the names that operators know. */
export const modulesOf = (o: ModulesOptions): readonly Module[] => [
  ...o.cameras.slots.map(cameraModule),
  detectorModule(o.detector),
  storageModule(o.storage),
  {
    id: 'modules.analytics.db_logger',
    instance: null,
    health: () => ({
      status: o.library.troubles.length === 0 ? 'healthy' : 'error',
      reasons: o.library.troubles,
      details: { waiting_facts: o.library.lag.waiting },
    }),
  },
  ...o.others,
];

/** How the parts are that a change of the configuration may touch, by the names that the keeper uses. */
export function partsOf({ modules }: HealthSummary): ReadonlyMap<string, HealthLevel> {
  const parts = new Map<string, HealthLevel>();
  const note = (part: string, status: ModuleStatus | undefined): void => {
    if (status !== undefined && status !== 'disabled') parts.set(part, status);
  };
  for (const id of new Set(Object.values(INPUTS))) {
    for (const [camera, { status }] of Object.entries(modules[id]?.instances ?? {})) {
      note(`camera.${camera}`, status);
    }
  }
  note('detector', modules[DETECTOR]?.status);
  note('storage', modules[STORAGE]?.status);
  note('uploads', modules[UPLOADS]?.status);
  return parts;
}

export const DETECTOR = 'modules.process.yolo_detector';
export const STORAGE = 'modules.storage.retention';
export const GATEWAY = 'modules.dashboard.websocket_gateway';
export const UPLOADS = 'modules.storage.s3_uploader';
const INPUTS: Readonly<Record<SourceSettings['kind'], string>> = {
  rtsp: 'modules.input.rtsp_camera',
  v4l2: 'modules.input.usb_camera',
  file: 'modules.input.camera_simulator',
  pattern: 'modules.input.camera_simulator',
};

/** Which module a camera is an instance of. */
export const inputOf = ({ source }: CameraSettings): string => INPUTS[source.kind];

function cameraModule(slot: CameraSlot): Module {
  return {
    id: inputOf(slot.settings),
    instance: slot.settings.cameraId,
    pausing: slot,
    health(): ModuleHealth {
      const { part } = slot;
      if (!part) return { status: 'disabled', reasons: [], details: {} };
      const { state, reason, streams, since_ts } = part.state;
      const isWell = state === 'running' && reason === null;
      return {
        // A camera that only begins to connect has not failed yet.
        status: isWell ? 'healthy' : state === 'down' ? 'error' : 'degraded',
        reasons: reason ? [reason] : [],
        details: {
          ...{ state, since_ts, has_network: part.hasNetwork },
          streams: streams.map(({ role, state }) => ({ role, state })),
        },
      };
    },
  };
}

const detectorModule = (slot: Slot<DetectionSettings, DetectDesk>): Module => ({
  id: DETECTOR,
  instance: null,
  pausing: slot,
  health(): ModuleHealth {
    const state = slot.part?.state;
    if (!state) return { status: 'disabled', reasons: [], details: {} };
    if (state.state === 'down') return { status: 'error', reasons: [state.reason], details: {} };
    if (state.state === 'starting') return { status: 'degraded', reasons: [], details: {} };
    const { info, reason } = state;
    return {
      status: reason ? 'degraded' : 'healthy',
      reasons: reason ? [reason] : [],
      details: { model: info.modelId, backend: info.backend },
    };
  },
});

/** Footage can still be kept; the rest is about to be, or is, lost. */
const MILD = new Set<ErrorReport['code']>(['STORAGE_LOW', 'DISK_TOO_SLOW']);

const storageModule = (storage: StorageDesk): Module => ({
  id: STORAGE,
  instance: null,
  pausing: storage,
  health() {
    const reasons = storage.alarms;
    const isMild = reasons.every(({ code }) => MILD.has(code));
    return {
      status: reasons.length === 0 ? 'healthy' : isMild ? 'degraded' : 'error',
      reasons,
      details: storage.details,
    };
  },
});

/** None where the bus has no bridge. */
export function bridgeModule({ bridge }: Pick<Bus, 'bridge'>): readonly Module[] {
  if (!bridge) return [];
  const { connected, waitingMessages, waitingBytes, reason } = bridge;
  return [
    {
      id: 'modules.output.mqtt_bridge',
      instance: null,
      health: () => ({
        status: connected ? 'healthy' : 'degraded',
        reasons: reason ? [reason] : [],
        details: { waiting_messages: waitingMessages, waiting_bytes: waitingBytes },
      }),
    },
  ];
}
