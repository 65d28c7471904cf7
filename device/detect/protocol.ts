/** What is said on the detector's socket. Crops are the parts of `detect`, RGB, each exactly one model input. */
import type { DetectorInfo, DetectResult } from '../contract/detect.ts';
import type { ErrorReport } from '../contract/errors.ts';

/** More crops in one request would only make the camera's own answer late. */
export const MAX_CROPS = 8;
export const MAX_REQUEST_HEADER_BYTES = 4096;
export const MAX_ANSWER_HEADER_BYTES = 1024 * 1024;

export type ClientMessage =
  | { readonly type: 'hello'; readonly cameraId: string }
  | { readonly type: 'detect'; readonly id: number };

/** Trusted by clients: the server is started by the same agent and its socket belongs to nobody else. */
export type ServerMessage =
  | { readonly type: 'info'; readonly info: DetectorInfo }
  /** `result` is null when the request was superseded. */
  | { readonly type: 'result'; readonly id: number; readonly result: DetectResult | null }
  | { readonly type: 'failed'; readonly id: number; readonly reason: ErrorReport };
