/** What is said on the detector's socket. Crops are the parts of `detect`, RGB, each exactly one model input. */
import { z } from 'zod';
import type { DetectorInfo, DetectResult } from '../contract/detect.ts';
import type { ErrorReport } from '../contract/errors.ts';
import { FrameError } from './frames.ts';

/** More crops in one request would only make the camera's own answer late. */
export const MAX_CROPS = 8;
export const MAX_REQUEST_HEADER_BYTES = 4096;
export const MAX_ANSWER_HEADER_BYTES = 1024 * 1024;

const clientMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), cameraId: z.string().max(256) }),
  z.object({ type: z.literal('detect'), id: z.number().int().nonnegative() }),
]);

export type ClientMessage = z.infer<typeof clientMessage>;

/** @throws FrameError */
export function parseClientMessage(header: unknown): ClientMessage {
  const result = clientMessage.safeParse(header);
  if (result.success) return result.data;
  throw new FrameError('not a message of a camera', { cause: result.error });
}

/** Trusted by clients: the server is started by the same agent and its socket belongs to nobody else. */
export type ServerMessage =
  | { readonly type: 'info'; readonly info: DetectorInfo }
  /** `result` is null when the request was superseded. */
  | { readonly type: 'result'; readonly id: number; readonly result: DetectResult | null }
  | { readonly type: 'failed'; readonly id: number; readonly reason: ErrorReport };
