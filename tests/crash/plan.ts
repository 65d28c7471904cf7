import { defaultSettings } from '../../device/settings/index.ts';
import type { CameraSettings, RecordingMode, Settings } from '../../device/contract/settings.ts';

/** What the processes of a rig are told, in an environment variable that all of them inherit. */
export interface RigPlan {
  readonly seed: number;
  readonly dataDir: string;
  readonly cameras: readonly RigCamera[];
  /** An `EncodedStream`, serialized: what all cameras send. */
  readonly streamFile: string;
  /** What cameras send is captured from a generated picture instead, by the capture room. */
  readonly capture: boolean;
  /** Nothing is made durable, which the rig must notice. */
  readonly careless: boolean;
  readonly reportsFile: string;
}

export interface RigCamera {
  readonly cameraId: string;
  readonly mode: RecordingMode;
}

const VARIABLE = 'CRASH_RIG_PLAN';
export const planInEnvironment = (plan: RigPlan): NodeJS.ProcessEnv => ({ [VARIABLE]: JSON.stringify(plan) });
export const readPlan = (): RigPlan => JSON.parse(process.env[VARIABLE]!) as RigPlan;

/** Short files, so that a kill meets some that begin, grow, end and follow one another. */
export function settingsOf({ dataDir, cameras }: RigPlan): Settings {
  const settings = defaultSettings(
    dataDir,
    cameras.map(({ cameraId, mode }) => ({ camera_id: cameraId, test_pattern: true, recording: { mode } })),
  );
  return {
    ...settings,
    logLevel: 'error',
    bus: { ...settings.bus, port: 0 },
    metrics: { ...settings.metrics, port: 0 },
    cameras: settings.cameras.map(recordingShort),
  };
}

const recordingShort = (camera: CameraSettings): CameraSettings => ({
  ...camera,
  detection: { ...camera.detection, enabled: false },
  recording: {
    ...camera.recording,
    segmentMs: 2500,
    preRollMs: 1000,
    postRollMs: 500,
    maxClipMs: 3000,
    bufferBytes: 16 * 2 ** 20,
  },
});
