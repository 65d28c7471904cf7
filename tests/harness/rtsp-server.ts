/**
 * A real RTSP server as a camera: GStreamer's, in a child process that dies with its parent. Video is encoded
 * once beforehand and looped with correct timestamps, so that the server costs next to nothing.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { requirePackages } from './packages.ts';

requirePackages([
  'ffmpeg',
  'python3-gi',
  'gir1.2-gst-rtsp-server-1.0',
  'gstreamer1.0-plugins-base',
  'gstreamer1.0-plugins-good',
  'gstreamer1.0-plugins-bad',
]);

export interface RtspStreamSpec {
  readonly path: string;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly codec: 'h264' | 'h265' | 'mjpeg';
  readonly bitrateKbit: number;
  /** Footage to show, scaled; default: a moving test picture of `seconds`. */
  readonly file?: string;
  readonly seconds?: number;
  /** A tone, mono; `true` is AAC. */
  readonly audio?: boolean | keyof typeof SOUNDS;
  /** Whenever it has been played once, the picture has the other size. */
  readonly otherSize?: { readonly width: number; readonly height: number };
  /** Frames from key frame to key frame; default: one second. */
  readonly gop?: number;
  readonly auth?: { readonly user: string; readonly password: string; readonly basic?: boolean };
}

export interface RtspServer extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  url(path: string): string;
  /** The connection stays, but nothing more comes: a stall. */
  pause(path: string): Promise<void>;
  resume(path: string): Promise<void>;
  /** Closes the connections of all clients of this stream; they may come back. */
  drop(path: string): Promise<void>;
  /** As `drop`, and from now on there is no such stream (404), until `restore`. */
  remove(path: string): Promise<void>;
  restore(path: string): Promise<void>;
}

const run = promisify(execFile);

/** Resolves when it listens, on a free port of 127.0.0.1. */
export async function startRtspServer(options: { streams: readonly RtspStreamSpec[] }): Promise<RtspServer> {
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-rtsp-'));
  const removeFolder = (): Promise<void> => rm(folder, { recursive: true, force: true });
  let streams: object[];
  try {
    streams = await Promise.all(
      options.streams.map((spec, index) => encode(spec, join(folder, String(index)))),
    );
  } catch (error) {
    await removeFolder();
    throw error;
  }
  const child = spawn('/usr/bin/python3', [new URL('rtsp-server.py', import.meta.url).pathname], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  child.stdin.write(`${JSON.stringify({ streams })}\n`);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the RTSP server ended with code ${child.exitCode}`);
    return JSON.parse(value);
  };
  const stop = async (): Promise<void> => {
    child.stdin.end();
    const kill = setTimeout(() => child.kill('SIGKILL'), 3000);
    await exited;
    clearTimeout(kill);
    await removeFolder();
  };
  let port: number;
  try {
    ({ port } = (await answer()) as { port: number });
  } catch (error) {
    await stop();
    throw error;
  }
  const command = async (what: string, path: string): Promise<void> => {
    child.stdin.write(`${JSON.stringify({ do: what, path })}\n`);
    await answer();
  };
  return {
    port,
    pid: child.pid!,
    url: (path) => `rtsp://127.0.0.1:${port}${path}`,
    pause: (path) => command('pause', path),
    resume: (path) => command('resume', path),
    drop: (path) => command('drop', path),
    remove: (path) => command('remove', path),
    restore: (path) => command('restore', path),
    [Symbol.asyncDispose]: stop,
  };
}

async function encode(spec: RtspStreamSpec, stem: string): Promise<object> {
  const { path, fps, codec, seconds = 6, auth = null } = spec;
  const sizes = [{ width: spec.width, height: spec.height }, ...(spec.otherSize ? [spec.otherSize] : [])];
  const videos = await Promise.all(
    sizes.map(({ width, height }, index) =>
      encodeVideo({ ...spec, width, height, seconds }, `${stem}-${index}.${codec}`),
    ),
  );
  const audio = spec.audio
    ? await encodeAudio(spec.audio === true ? 'aac' : spec.audio, seconds, stem)
    : null;
  return { path, fps, codec, videos, audio, auth };
}

/** The server makes Opus by itself: FFmpeg writes none that is not in a container. */
const SOUNDS = {
  aac: ['-ar', '48000', '-c:a', 'aac', '-b:a', '64k', '-f', 'adts'],
  pcm_alaw: ['-ar', '8000', '-f', 'alaw'],
  pcm_mulaw: ['-ar', '8000', '-f', 'mulaw'],
  opus: ['-ar', '48000', '-f', 's16le'],
} as const;

async function encodeAudio(codec: keyof typeof SOUNDS, seconds: number, stem: string): Promise<object> {
  const file = `${stem}.${codec}`;
  await run('ffmpeg', [
    ...['-loglevel', 'error', '-nostdin', '-f', 'lavfi'],
    ...['-i', `sine=frequency=440:sample_rate=48000:duration=${seconds}`, ...SOUNDS[codec], file],
  ]);
  return { codec, file };
}

const ENCODERS = {
  h264: [
    ...[
      '-c:v',
      'libx264',
      '-preset',
      'veryfast',
      '-tune',
      'zerolatency',
      '-pix_fmt',
      'yuv420p',
      '-f',
      'h264',
    ],
    ...['-x264-params', 'scenecut=0:aud=1:sliced-threads=0'],
  ],
  h265: [
    ...[
      '-c:v',
      'libx265',
      '-preset',
      'ultrafast',
      '-tune',
      'zerolatency',
      '-pix_fmt',
      'yuv420p',
      '-f',
      'hevc',
    ],
    ...['-x265-params', 'scenecut=0:aud=1:repeat-headers=1:open-gop=0:log-level=error'],
  ],
  // RTP carries no Huffman tables (RFC 2435): the standard ones.
  mjpeg: ['-c:v', 'mjpeg', '-huffman', 'default', '-pix_fmt', 'yuvj420p', '-f', 'mjpeg'],
} as const;

async function encodeVideo(
  spec: RtspStreamSpec & { readonly seconds: number },
  video: string,
): Promise<string> {
  const { width, height, fps, codec, bitrateKbit, file, seconds, gop = fps } = spec;
  const source = file
    ? ['-i', file]
    : ['-f', 'lavfi', '-i', `testsrc2=size=${width}x${height}:rate=${fps}:duration=${seconds}`];
  const rate = `${bitrateKbit}k`;
  await run('ffmpeg', [
    ...['-loglevel', 'error', '-nostdin', ...source, '-an', '-vf', `scale=${width}:${height},fps=${fps}`],
    ...['-g', String(gop), '-keyint_min', String(gop), '-bf', '0'],
    ...['-b:v', rate, '-maxrate', rate, '-bufsize', rate, ...ENCODERS[codec], video],
  ]);
  return video;
}
