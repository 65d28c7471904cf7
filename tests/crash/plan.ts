import type { RecordingMode, RecordingSettings } from '../../device/contract/settings.ts';
import { RECORDING } from '../harness/media.ts';

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
export const recordingOf = (mode: RecordingMode): RecordingSettings => ({
  ...RECORDING,
  mode,
  segmentMs: 2500,
  preRollMs: 1000,
  postRollMs: 500,
  maxClipMs: 3000,
});
