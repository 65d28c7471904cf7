import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { CodedError } from '../../contract/errors.ts';

/** Room in the kernel for a key frame of several megabits that comes at once. */
const BUFFER_BYTES = 1_048_576;
const MAX_ATTEMPTS = 20;

export interface UdpListener {
  /** `bytes` is valid during the call only. */
  rtp(bytes: Buffer): void;
  rtcp(bytes: Buffer): void;
}

/** Two neighbouring ports, the lower one even (RFC 3550 §11), that hear one camera only. */
export class UdpPair implements AsyncDisposable {
  readonly rtpPort: number;
  readonly #sockets: readonly [Socket, Socket];
  #remotePorts: readonly [number, number] | null = null;
  readonly #address: string;

  private constructor(
    sockets: readonly [Socket, Socket],
    rtpPort: number,
    address: string,
    listener: UdpListener,
  ) {
    this.#sockets = sockets;
    this.rtpPort = rtpPort;
    this.#address = address;
    const hear = (bytes: Buffer, from: string, take: (bytes: Buffer) => void): void => {
      if (sameAddress(from, address)) take(bytes);
    };
    sockets[0].on('message', (bytes, { address: from }) => hear(bytes, from, (own) => listener.rtp(own)));
    sockets[1].on('message', (bytes, { address: from }) => hear(bytes, from, (own) => listener.rtcp(own)));
    // A camera whose port is closed is noticed by its silence.
    for (const socket of sockets) socket.on('error', () => {});
  }

  /** Throws CAMERA_FAILED when there are no ports left. */
  static async open(camera: { address: string; family: string }, listener: UdpListener): Promise<UdpPair> {
    const type = camera.family === 'IPv6' ? 'udp6' : 'udp4';
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const first = await bind(type, 0);
      if (!first) continue;
      const { port } = first.address();
      const second = await bind(type, port % 2 === 0 ? port + 1 : port - 1);
      if (!second) {
        first.close();
        continue;
      }
      const sockets = port % 2 === 0 ? ([first, second] as const) : ([second, first] as const);
      return new UdpPair(sockets, port - (port % 2), camera.address, listener);
    }
    throw new CodedError('CAMERA_FAILED', 'no pair of UDP ports is free');
  }

  /** `ports`: of the camera, as it answered; a packet to each opens the way through firewalls. */
  open(ports: readonly [number, number], report: Buffer): void {
    this.#remotePorts = ports;
    const hello = Buffer.alloc(12);
    hello.writeUInt8(0x80, 0);
    this.#sockets[0].send(hello, ports[0], this.#address, () => {});
    this.sendRtcp(report);
  }

  sendRtcp(report: Buffer): void {
    if (this.#remotePorts) this.#sockets[1].send(report, this.#remotePorts[1], this.#address, () => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#sockets.map(async (socket) => {
        const closed = once(socket, 'close');
        socket.close();
        await closed;
      }),
    );
  }
}

async function bind(type: 'udp4' | 'udp6', port: number): Promise<Socket | null> {
  const socket = createSocket({ type, recvBufferSize: BUFFER_BYTES });
  try {
    const listening = once(socket, 'listening');
    socket.bind(port);
    await listening;
    return socket;
  } catch {
    socket.close();
    return null;
  }
}

const sameAddress = (a: string, b: string): boolean => bare(a) === bare(b);
const bare = (address: string): string => address.replace(/^::ffff:/i, '').replace(/%.*$/, '');
