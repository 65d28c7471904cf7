/** Messages between the agent and its child processes (structured clone over the IPC channel). */
import type { ErrorReport } from './errors.ts';
import type { Fact } from './facts.ts';
import type { CameraSettings, DetectionSettings } from './settings.ts';
import type { DetectorInfo } from './detect.ts';

/** Metrics of a child as prom-client JSON, merged by the agent. */
export interface MetricsAnswer {
  readonly type: 'metrics';
  readonly requestId: number;
  readonly metrics: readonly object[];
}

export interface MetricsRequest {
  readonly type: 'metrics';
  readonly requestId: number;
}

/** Finish what is open, then exit 0. */
export interface StopCommand {
  readonly type: 'stop';
}

export type CameraHostCommand =
  | {
      readonly type: 'start';
      readonly settings: CameraSettings;
      readonly dataDir: string;
      readonly logLevel: string;
      /** Number of this process among those that served the camera; part of ids, so none is used twice. */
      readonly run: string;
      readonly detectSocket: string;
    }
  | MetricsRequest
  | StopCommand;

export type CameraHostMessage = { readonly type: 'fact'; readonly fact: Fact } | MetricsAnswer;

export type DetectHostCommand =
  | {
      readonly type: 'start';
      readonly settings: DetectionSettings;
      readonly dataDir: string;
      readonly logLevel: string;
      /** Unix socket to listen on; camera hosts connect to it. */
      readonly socket: string;
    }
  | MetricsRequest
  | StopCommand;

export type DetectHostMessage =
  | { readonly type: 'ready'; readonly info: DetectorInfo }
  | { readonly type: 'failed'; readonly reason: ErrorReport }
  | MetricsAnswer;
