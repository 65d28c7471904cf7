/** From an address to a camera that is about to play: OPTIONS, DESCRIBE and SETUP (RFC 2326 §10). */
import { CodedError, type ErrorCode } from '../../contract/errors.ts';
import type { Credentials } from './auth.ts';
import { RtspClient, type ClientListener } from './client.ts';
import { header, invalid, type Message } from './message.ts';
import { parseSdp, type SessionDescription } from './sdp.ts';

const DEFAULT_PORT = 554;
const MAX_REDIRECTS = 3;
const DEFAULT_TIMEOUT_S = 60;
/** Who promises to wait longer is told earlier all the same. */
const MAX_TIMEOUT_S = 600;
const USER_AGENT = 'Spyoncino';

export interface Described {
  readonly client: RtspClient;
  readonly session: SessionDescription;
  /** What relative addresses of tracks are relative to. */
  readonly base: string;
  readonly keepAliveMethod: 'GET_PARAMETER' | 'OPTIONS';
}

export interface Address {
  /** Without credentials. */
  readonly url: URL;
  readonly credentials: Credentials | null;
}

/** `href` with credentials, percent-encoded. */
export function addressOf(href: string): Address {
  const url = new URL(href);
  const credentials =
    url.username === ''
      ? null
      : { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  url.username = url.password = '';
  return { url, credentials };
}

/**
 * Follows the camera's redirections, a few, without taking the password to another host. Returns the address of one
 * that is not plain RTSP. Throws CodedError or the system's error.
 */
export async function describe(
  { url: first, credentials }: Address,
  listener: ClientListener,
  answerMs: number,
  signal: AbortSignal,
  onClient: (client: RtspClient) => void,
): Promise<Described | { readonly elsewhere: URL }> {
  let url = first;
  for (let redirects = 0; ; redirects++) {
    const client = await RtspClient.connect(
      {
        host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: Number(url.port || DEFAULT_PORT),
        credentials: url.hostname === first.hostname ? credentials : null,
        answerMs,
        userAgent: USER_AGENT,
      },
      listener,
      signal,
    );
    onClient(client);
    const uri = url.href;
    // Cameras that refuse this question still describe themselves.
    const options = await client.request('OPTIONS', uri);
    const answer = await client.request('DESCRIBE', uri, { Accept: 'application/sdp' });
    const target = redirection(answer, url);
    if (!target) {
      requireOk(answer);
      const publicMethods = header(options, 'public') ?? '';
      return {
        client,
        session: parseSdp(answer.body),
        base: header(answer, 'content-base') ?? header(answer, 'content-location') ?? uri,
        keepAliveMethod: /\bGET_PARAMETER\b/i.test(publicMethods) ? 'GET_PARAMETER' : 'OPTIONS',
      };
    }
    client.destroy(null);
    if (redirects === MAX_REDIRECTS)
      throw new CodedError('CAMERA_FAILED', 'the camera redirects without end');
    if (target.protocol !== 'rtsp:') return { elsewhere: target };
    url = target;
  }
}

function redirection(answer: Message, from: URL): URL | null {
  if (answer.status === null || ![301, 302, 303, 307, 308].includes(answer.status)) return null;
  const location = header(answer, 'location');
  const target = location === null ? null : URL.parse(location, from.href);
  if (!target || target.hostname === '') throw invalid('the camera redirects to nowhere');
  target.username = target.password = '';
  return target;
}

const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [401, 'CAMERA_UNAUTHORIZED'],
  [403, 'CAMERA_UNAUTHORIZED'],
  [404, 'CAMERA_STREAM_NOT_FOUND'],
]);

/** Throws what the status means. */
export function requireOk({ status }: Message): void {
  if (status === null || (status >= 200 && status < 300)) return;
  throw new CodedError(CODES.get(status) ?? 'CAMERA_FAILED', `the camera answers ${status}`);
}

/** As cameras expect it, which is not how addresses are joined elsewhere: relative ones are appended. */
export function controlUri(base: string, control: string | null): string {
  if (control === null || control === '' || control === '*') return base;
  if (/^rtsps?:\/\//i.test(control)) return control;
  return base.endsWith('/') || control.startsWith('/')
    ? base + control.replace(/^\/(?=.)/, base.endsWith('/') ? '' : '/')
    : `${base}/${control}`;
}

export interface SetUp {
  readonly sessionId: string;
  readonly timeoutS: number;
  readonly transport: ReadonlyMap<string, string>;
}

/** Throws CodedError or the system's error. */
export async function setUp(
  client: RtspClient,
  uri: string,
  transport: string,
  sessionId: string | null,
): Promise<SetUp> {
  const answer = await client.request('SETUP', uri, {
    Transport: transport,
    ...(sessionId !== null && { Session: sessionId }),
  });
  requireOk(answer);
  const [id = '', ...parameters] = (header(answer, 'session') ?? '').split(';').map((part) => part.trim());
  if (id === '' && sessionId === null) throw invalid('the camera opens no session');
  const timeout = parameters.find((parameter) => /^timeout\s*=/i.test(parameter))?.split('=')[1];
  const timeoutS = Number.parseInt(timeout ?? '', 10);
  return {
    sessionId: id || sessionId!,
    timeoutS: timeoutS > 0 ? Math.min(timeoutS, MAX_TIMEOUT_S) : DEFAULT_TIMEOUT_S,
    transport: new Map(
      (header(answer, 'transport') ?? '').split(';').map((part): [string, string] => {
        const [name = '', value = ''] = part.split('=');
        return [name.trim().toLowerCase(), value.trim()];
      }),
    ),
  };
}

/** Timestamps at which the tracks begin, in the order in which they were set up (`RTP-Info`, RFC 2326 §12.33). */
export function startTimes(answer: Message): number[] {
  const entries = (header(answer, 'rtp-info') ?? '').split(/,\s*(?=url=)/i);
  return entries.flatMap((entry) => {
    const timestamp = /;\s*rtptime=(\d{1,10})(?:;|$)/i.exec(entry)?.[1];
    return timestamp === undefined ? [] : [Number(timestamp) % 2 ** 32];
  });
}

/** `a-b` as two numbers below `limit`; null: it is not. */
export function pairOf(text: string | undefined, limit: number): readonly [number, number] | null {
  const [, a, b] = /^(\d+)(?:-(\d+))?$/.exec(text ?? '') ?? [];
  const first = Number(a ?? Number.NaN);
  const second = b === undefined ? first + 1 : Number(b);
  return first < limit && second < limit ? [first, second] : null;
}
