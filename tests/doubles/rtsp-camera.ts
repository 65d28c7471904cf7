/**
 * An RTSP camera with the faults that real ones have, in this process, on a free port of the loopback interface. It
 * plays H.264 over the RTSP connection (interleaved).
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { createHash } from 'node:crypto';
import { splitAnnexB } from '../../device/capture/nal.ts';

/** One picture as an encoder gives it. */
export interface CodedPicture {
  /** Annex B. */
  readonly bytes: Buffer;
  /** Ticks of 90 kHz. */
  readonly pts: number;
}

export interface RtspRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers: ReadonlyMap<string, string>;
}

export interface RtspCameraOptions {
  /** Played in a loop, one every 1 / `fps` s. */
  readonly pictures: readonly CodedPicture[];
  readonly fps: number;
  readonly host?: string;
  /** false: no packet is marked as the last one of its picture. */
  readonly markers?: boolean;
  /** Sent before each interleaved frame. */
  readonly garbage?: Buffer;
  /** Whether the packet with this number is left out. */
  readonly loses?: (packet: number) => boolean;
  /** The connection breaks in the middle of this packet, the first time it would be sent. */
  readonly breaksAt?: number;
  /** Seconds; without a sign of life in that time the connection is closed. */
  readonly sessionTimeoutS?: number;
  readonly login?: Login;
  /** Says what to answer instead of what it would; null: nothing at all; undefined: as usual. */
  readonly instead?: (request: RtspRequest, camera: { readonly port: number }) => string | null | undefined;
}

/** Digest with SHA-256; a nonce is good for `uses` requests. */
export interface Login {
  readonly user: string;
  readonly password: string;
  readonly uses: number;
}

export interface RtspCamera extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** In the order in which they came. */
  readonly requests: readonly RtspRequest[];
}

const FRAGMENT_BYTES = 500;
const DESCRIPTION = 'v=0\r\ns=-\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n';

export async function startRtspCamera(options: RtspCameraOptions): Promise<RtspCamera> {
  const { host = '127.0.0.1' } = options;
  const sockets = new Set<Socket>();
  const requests: RtspRequest[] = [];
  const state = { broken: false, port: 0 };
  const server = createServer((socket) => {
    sockets.add(socket);
    const viewer = new Viewer(options, socket, requests, state);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      viewer.stop();
    });
  });
  server.listen(0, host);
  await once(server, 'listening');
  state.port = (server.address() as AddressInfo).port;
  return {
    port: state.port,
    url: `rtsp://${host.includes(':') ? `[${host}]` : host}:${state.port}/live`,
    requests,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** One connection. */
class Viewer {
  readonly #o: RtspCameraOptions;
  readonly #socket: Socket;
  readonly #requests: RtspRequest[];
  readonly #state: { broken: boolean; readonly port: number };
  #received = Buffer.alloc(0);
  #playing: NodeJS.Timeout | null = null;
  #dying: NodeJS.Timeout | null = null;
  #sequence = 65_500;
  #packets = 0;
  #nonce = 0;
  #uses = 0;

  constructor(
    options: RtspCameraOptions,
    socket: Socket,
    requests: RtspRequest[],
    state: { broken: boolean; readonly port: number },
  ) {
    this.#o = options;
    this.#socket = socket;
    this.#requests = requests;
    this.#state = state;
    socket.on('data', (bytes) => this.#hear(bytes));
  }

  stop(): void {
    if (this.#playing) clearInterval(this.#playing);
    if (this.#dying) clearTimeout(this.#dying);
  }

  #hear(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      if (this.#received[0] === 0x24) {
        if (this.#received.length < 4) return;
        const end = 4 + this.#received.readUInt16BE(2);
        if (this.#received.length < end) return;
        this.#received = this.#received.subarray(end);
        continue;
      }
      const end = this.#received.indexOf('\r\n\r\n');
      if (end < 0) return;
      const [first = '', ...lines] = this.#received.toString('utf8', 0, end).split('\r\n');
      this.#received = this.#received.subarray(end + 4);
      const [method = '', uri = ''] = first.split(' ');
      const headers = new Map(
        lines.map((line): [string, string] => {
          const colon = line.indexOf(':');
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        }),
      );
      this.#answer({ method, uri, headers });
    }
  }

  #answer(request: RtspRequest): void {
    this.#requests.push(request);
    const instead = this.#o.instead?.(request, this.#state);
    if (instead === null) return;
    const say = (status: string, fields: readonly string[] = [], body = ''): void => {
      const cseq = `CSeq: ${request.headers.get('cseq')}`;
      const length = body === '' ? [] : [`Content-Length: ${body.length}`];
      this.#socket.write([`RTSP/1.0 ${status}`, cseq, ...fields, ...length, '', body].join('\r\n'));
    };
    if (instead !== undefined) {
      this.#socket.write(instead.replace('$CSEQ', request.headers.get('cseq') ?? ''));
      return;
    }
    const refusal = this.#refusal(request);
    if (refusal) {
      say('401 Unauthorized', [refusal]);
      return;
    }
    this.#live();
    const session = `Session: 4711${this.#o.sessionTimeoutS ? `;timeout=${this.#o.sessionTimeoutS}` : ''}`;
    switch (request.method) {
      case 'OPTIONS':
        say('200 OK', ['Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN']);
        break;
      case 'DESCRIBE':
        say('200 OK', ['Content-Type: application/sdp'], DESCRIPTION);
        break;
      case 'SETUP':
        say('200 OK', [session, 'Transport: RTP/AVP/TCP;unicast;interleaved=4-5']);
        break;
      case 'PLAY':
        say('200 OK', [session]);
        this.#play();
        break;
      default:
        say('200 OK', [session]);
    }
  }

  /** The header that asks for a password; null: it is right. */
  #refusal({ method, uri, headers }: RtspRequest): string | null {
    const { login } = this.#o;
    if (!login) return null;
    const field = (name: string): string =>
      new RegExp(`[ ,]${name}=(?:"([^"]*)"|([^, ]*))`)
        .exec(headers.get('authorization') ?? '')
        ?.slice(1)
        .join('') ?? '';
    const h = (...parts: string[]): string => createHash('sha256').update(parts.join(':')).digest('hex');
    const isRight =
      field('uri') === uri &&
      field('response') ===
        h(
          h(login.user, 'camera', login.password),
          field('nonce'),
          field('nc'),
          field('cnonce'),
          'auth',
          h(method, uri),
        );
    if (isRight && field('nonce') === `nonce-${this.#nonce}` && this.#uses++ < login.uses) return null;
    this.#uses = 0;
    this.#nonce += 1;
    return `WWW-Authenticate: Digest realm="camera", nonce="nonce-${this.#nonce}", algorithm=SHA-256, qop="auth", stale=${isRight}`;
  }

  #live(): void {
    const { sessionTimeoutS } = this.#o;
    if (sessionTimeoutS === undefined) return;
    if (this.#dying) clearTimeout(this.#dying);
    this.#dying = setTimeout(() => this.#socket.destroy(), sessionTimeoutS * 1000);
  }

  #play(): void {
    const { fps, pictures } = this.#o;
    const loopTicks = Math.round((pictures.length * 90_000) / fps);
    let index = 0;
    this.#playing = setInterval(() => {
      const { bytes, pts } = pictures[index % pictures.length]!;
      const timestamp = pts + loopTicks * Math.floor(index / pictures.length);
      index += 1;
      const payloads = splitAnnexB(bytes).flatMap(({ start, end }) => payloadsOf(bytes.subarray(start, end)));
      for (const [n, payload] of payloads.entries())
        this.#send(payload, timestamp, n === payloads.length - 1);
    }, 1000 / fps);
  }

  #send(payload: Buffer, timestamp: number, isLast: boolean): void {
    const number = this.#packets++;
    const packet = Buffer.alloc(16);
    packet.set([0x24, 4]);
    packet.writeUInt16BE(12 + payload.length, 2);
    packet.set([0x80, (isLast && this.#o.markers !== false ? 0x80 : 0) | 96], 4);
    packet.writeUInt16BE(this.#sequence++ & 0xffff, 6);
    packet.writeUInt32BE(timestamp >>> 0, 8);
    packet.writeUInt32BE(0xcafe, 12);
    if (this.#o.loses?.(number)) return;
    if (number === this.#o.breaksAt && !this.#state.broken) {
      this.#state.broken = true;
      this.#socket.end(packet);
      return;
    }
    this.#socket.write(Buffer.concat([this.#o.garbage ?? Buffer.alloc(0), packet, payload]));
  }
}

/** H.264 in FU-A where it is large (RFC 6184 §5.8). */
function payloadsOf(nal: Buffer): Buffer[] {
  if (nal.length <= FRAGMENT_BYTES) return [nal];
  const payloads: Buffer[] = [];
  for (let at = 1; at < nal.length; at += FRAGMENT_BYTES) {
    const flags = (at === 1 ? 0x80 : 0) | (at + FRAGMENT_BYTES >= nal.length ? 0x40 : 0);
    const head = Buffer.of((nal[0]! & 0xe0) | 28, flags | (nal[0]! & 0x1f));
    payloads.push(Buffer.concat([head, nal.subarray(at, at + FRAGMENT_BYTES)]));
  }
  return payloads;
}
