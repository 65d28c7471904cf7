import type { Socket } from 'node:net';
import { encodeHead, FrameError, FrameReader } from './frames.ts';
import { parseClientMessage } from './client-message.ts';
import { MAX_CROPS, MAX_REQUEST_HEADER_BYTES, type ServerMessage } from './protocol.ts';

/** A camera that leaves this much unread is not listening. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

export interface PeerEvents {
  onHello(cameraId: string): void;
  onDetect(id: number, crops: readonly Uint8Array<ArrayBuffer>[]): void;
  /** Exactly once. `error` says why we ended the link; null when the camera did. */
  onGone(error: Error | null): void;
}

/** One camera's link, on the detector's side. Whatever arrives, the worst that happens is the end of the link. */
export class Peer {
  readonly #socket: Socket;
  #error: Error | null = null;

  constructor(socket: Socket, partBytes: () => number | null, events: PeerEvents) {
    this.#socket = socket;
    const reader = new FrameReader({ headerBytes: MAX_REQUEST_HEADER_BYTES, parts: MAX_CROPS, partBytes });
    socket.on('data', (chunk) => {
      try {
        for (const { header, parts } of reader.push(chunk)) {
          const message = parseClientMessage(header);
          if (message.type === 'detect') events.onDetect(message.id, parts);
          else events.onHello(message.cameraId);
        }
      } catch (error) {
        this.#end(error instanceof FrameError ? error : new FrameError('cannot be served', { cause: error }));
      }
    });
    socket.on('error', (error) => (this.#error ??= error));
    socket.on('close', () => events.onGone(this.#error));
  }

  send(message: ServerMessage): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(encodeHead(message));
    if (this.#socket.writableLength > MAX_UNREAD_BYTES) this.#end(new Error('does not read its answers'));
  }

  close(): void {
    this.#socket.destroy();
  }

  #end(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }
}
