import { once } from 'node:events';
import { lstat, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { DetectorInfo, DetectResult } from '../contract/detect.ts';
import { CodedError } from '../contract/errors.ts';
import type { Log } from '../kernel/log.ts';
import { Peer } from './peer.ts';
import { cropBytes } from './tensor.ts';

const MAX_PEERS = 64;

/** What the socket serves, once it is loaded. */
export interface Served {
  readonly info: DetectorInfo;
  detect(lane: string, crops: readonly Uint8Array<ArrayBuffer>[]): Promise<DetectResult | null>;
  leave(lane: string): void;
}

/**
 * The Unix socket that cameras connect to. It listens from the start, so nobody waits for a retry when the
 * model is loaded; until then it has nothing to say and accepts no crops.
 */
export class SocketServer implements AsyncDisposable {
  readonly #log: Log;
  readonly #server: Server;
  readonly #peers = new Map<string, Peer>();
  #served: Served | null = null;
  #accepted = 0;

  private constructor(log: Log) {
    this.#log = log;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = MAX_PEERS;
  }

  /** Only the owner of this process can connect. A socket left by an earlier process is replaced. */
  static async listen(path: string, log: Log): Promise<SocketServer> {
    const self = new SocketServer(log);
    const left = await lstat(path).catch(() => null);
    if (left?.isSocket()) await unlink(path);
    // The mode is given by umask alone: a later chmod would leave a moment in which anybody can connect.
    const umask = process.umask(0o177);
    try {
      self.#server.listen(path);
    } finally {
      process.umask(umask);
    }
    await once(self.#server, 'listening');
    return self;
  }

  serve(served: Served): void {
    this.#served = served;
    for (const peer of this.#peers.values()) peer.send({ type: 'info', info: served.info });
  }

  /** Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const peer of this.#peers.values()) peer.close();
    await closed;
  }

  #accept(socket: Socket): void {
    // A lane per link, not per camera: what an old link still asks for never mixes with its successor's.
    const lane = `${++this.#accepted}`;
    let cameraId = 'unknown';
    const peer = new Peer(socket, () => (this.#served ? cropBytes(inputSize(this.#served.info)) : null), {
      onHello: (id) => (cameraId = id),
      onDetect: (id, crops) => {
        this.#served?.detect(lane, crops).then(
          (result) => peer.send({ type: 'result', id, result }),
          (error: unknown) =>
            peer.send({ type: 'failed', id, reason: CodedError.from(error, 'DETECTOR_FAILED').report() }),
        );
      },
      onGone: (error) => {
        if (error) this.#log.warn({ err: error, camera: cameraId }, 'link to a camera ended');
        this.#peers.delete(lane);
        this.#served?.leave(lane);
      },
    });
    this.#peers.set(lane, peer);
    if (this.#served) peer.send({ type: 'info', info: this.#served.info });
  }
}

const inputSize = ({ inputWidth: width, inputHeight: height }: DetectorInfo) => ({ width, height });
