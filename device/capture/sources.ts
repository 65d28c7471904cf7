import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { CodedError } from '../contract/errors.ts';
import type { StreamRole } from '../contract/media.ts';
import type { SourceSettings } from '../contract/settings.ts';
import { openV4l2 } from './v4l2-source.ts';

/** What FFmpeg is told to open. `url` may hold credentials: it is never logged, and lives as long as one attempt. */
export interface Opening {
  readonly url: string;
  readonly format: string | null;
  readonly options: Readonly<Record<string, string>>;
  /** Our own reader is tried first. */
  readonly rtsp?: { readonly transport: 'tcp' | 'udp'; readonly audio: boolean };
}

/** How the packets of a source come. */
export interface Source {
  readonly role: StreamRole;
  readonly kind: SourceSettings['kind'];
  /** By themselves, in real time. */
  readonly live: boolean;
  /** We hold them back to their own speed. */
  readonly paced: boolean;
  readonly loop: boolean;
  readonly audio: boolean;
  /** Worked out anew for each attempt. Throws CodedError. */
  prepare(): Promise<Opening>;
}

/** How long the network may be silent: the camera's answer to a request, or its next packet. */
export const SILENCE_MS = 5000;

/** One source per connection: the main stream, and the sub stream if there is one. */
export function sourcesOf(settings: SourceSettings): Source[] {
  const live = { live: true, paced: false, loop: false, audio: false };
  switch (settings.kind) {
    case 'rtsp': {
      const { mainUrl, subUrl, audio } = settings;
      const source = (role: StreamRole, url: string, wantsAudio: boolean): Source => ({
        ...live,
        role,
        kind: 'rtsp',
        audio: wantsAudio,
        prepare: () => openRtsp(url, wantsAudio, settings),
      });
      // What is recorded has sound; what is only looked at needs none.
      return [source('main', mainUrl, audio), ...(subUrl === null ? [] : [source('sub', subUrl, false)])];
    }
    case 'v4l2':
      return [{ ...live, role: 'main', kind: 'v4l2', prepare: () => openV4l2(settings) }];
    case 'file': {
      const { path, loop, paced } = settings;
      const prepare = async (): Promise<Opening> => ({ url: `file:${path}`, format: null, options: {} });
      return [{ role: 'main', kind: 'file', live: false, paced, loop, audio: true, prepare }];
    }
    case 'pattern':
      return [patternSource(settings)];
    default:
      return settings satisfies never;
  }
}

function patternSource({ width, height, fps }: Extract<SourceSettings, { kind: 'pattern' }>): Source {
  const url = `testsrc2=size=${width}x${height}:rate=${fps}`;
  const prepare = async (): Promise<Opening> => ({ url, format: 'lavfi', options: {} });
  return { role: 'main', kind: 'pattern', live: false, paced: true, loop: false, audio: false, prepare };
}

type RtspSettings = Extract<SourceSettings, { kind: 'rtsp' }>;

async function openRtsp(address: string, audio: boolean, settings: RtspSettings): Promise<Opening> {
  const url = rtspUrl(address, settings.username, settings.password);
  await resolve(url.hostname);
  return {
    url: url.href,
    format: 'rtsp',
    options: {
      rtsp_transport: settings.transport,
      // What is not taken is not asked for, so the camera does not send it.
      allowed_media_types: audio ? 'video+audio' : 'video',
      timeout: String(SILENCE_MS * 1000),
      // UDP only: room for a key frame of several megabits that comes at once.
      ...(settings.transport === 'udp' ? { buffer_size: '1048576' } : {}),
    },
    ...(url.protocol === 'rtsp:' ? { rtsp: { transport: settings.transport, audio } } : {}),
  };
}

/** Puts the credentials into the address, percent-encoded. Throws CAMERA_URL_INVALID; never repeats the address. */
export function rtspUrl(address: string, username: string | null, password: string | null): URL {
  const url = URL.parse(address);
  if (!url || !['rtsp:', 'rtsps:'].includes(url.protocol) || url.hostname === '')
    throw new CodedError('CAMERA_URL_INVALID');
  if (url.username !== '' || url.password !== '')
    throw new CodedError('CAMERA_URL_INVALID', 'credentials do not belong into the address');
  if (username !== null) url.username = encodeURIComponent(username);
  if (password !== null) url.password = encodeURIComponent(password);
  return url;
}

/** FFmpeg says EIO both for names that do not resolve and for much else; so we ask first. */
async function resolve(hostname: string): Promise<void> {
  if (isIP(hostname.replace(/^\[(.*)\]$/, '$1')) !== 0) return;
  try {
    await lookup(hostname);
  } catch (error) {
    throw new CodedError('CAMERA_HOST_UNKNOWN', hostname, { cause: error });
  }
}
