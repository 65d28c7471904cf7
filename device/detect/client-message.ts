import { z } from 'zod';
import { FrameError } from './frames.ts';
import type { ClientMessage } from './protocol.ts';

const clientMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), cameraId: z.string().max(256) }),
  z.object({ type: z.literal('detect'), id: z.number().int().nonnegative() }),
]);

/** @throws FrameError */
export function parseClientMessage(header: unknown): ClientMessage {
  const result = clientMessage.safeParse(header);
  if (result.success) return result.data;
  throw new FrameError('not a message of a camera', { cause: result.error });
}
