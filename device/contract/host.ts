/** Messages between the agent and its child processes (structured clone over the IPC channel). */
import type { ErrorReport } from './errors.ts';
import type { Fact } from './facts.ts';
import type { CameraSettings, DetectionSettings } from './settings.ts';
import type { DetectorInfo } from './detect.ts';
import type { Trouble } from './modules.ts';

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

/** Asked of a camera's chain beside its work. */
export type CameraRequest =
  /** A picture of now. */
  | { readonly kind: 'snapshot' }
  /** A test event, as if something had been seen. */
  | { readonly kind: 'event'; readonly label: string; readonly durationMs: number };

export interface CameraRequestCommand {
  readonly type: 'request';
  readonly requestId: number;
  readonly request: CameraRequest;
}

export interface CameraAnswer {
  readonly type: 'answer';
  readonly requestId: number;
  readonly answer:
    | { readonly ok: true; readonly value: unknown }
    | { readonly ok: false; readonly error: ErrorReport };
}

/** Finish what is open, then exit 0. */
export interface StopCommand {
  readonly type: 'stop';
}

export interface CameraHostStart {
  readonly type: 'start';
  readonly settings: CameraSettings;
  readonly dataDir: string;
  /** Identity that the media directory must show before a file is created in it. */
  readonly mediaId: string;
  readonly logLevel: string;
  /** Unlike that of any other process of this camera; part of ids, so none is used twice. */
  readonly run: string;
  readonly detectSocket: string;
}

export type CameraHostCommand = CameraHostStart | CameraRequestCommand | MetricsRequest | StopCommand;

export type CameraHostMessage = { readonly type: 'fact'; readonly fact: Fact } | CameraAnswer | MetricsAnswer;

export interface DetectHostStart {
  readonly type: 'start';
  readonly settings: DetectionSettings;
  readonly dataDir: string;
  readonly logLevel: string;
  /** Unix socket to listen on; camera hosts connect to it. */
  readonly socket: string;
  readonly trouble: Trouble | null;
}

/** From now on, around every look; null: none any more. */
export interface TroubleCommand {
  readonly type: 'trouble';
  readonly trouble: Trouble | null;
}

export type DetectHostCommand = DetectHostStart | TroubleCommand | MetricsRequest | StopCommand;

export type DetectHostMessage =
  | { readonly type: 'ready'; readonly info: DetectorInfo }
  | { readonly type: 'failed'; readonly reason: ErrorReport }
  /** Again and again: how long a camera that wanted a look has waited for one, since this was said last. */
  | { readonly type: 'waits'; readonly longestMs: number }
  | MetricsAnswer;
