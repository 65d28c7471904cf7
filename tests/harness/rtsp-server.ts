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
  readonly codec: 'h264' | 'h265';
  readonly bitrateKbit: number;
  /** Footage to show, scaled; default: a moving test picture of `seconds`. */
  readonly file?: string;
  readonly seconds?: number;
  /** AAC, 48 kHz mono. */
  readonly audio?: boolean;
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
  const { path, width, height, fps, codec, bitrateKbit, file, seconds = 6, gop = fps, auth = null } = spec;
  const video = `${stem}.${codec}`;
  const source = file
    ? ['-i', file]
    : ['-f', 'lavfi', '-i', `testsrc2=size=${width}x${height}:rate=${fps}:duration=${seconds}`];
  const encoder =
    codec === 'h264'
      ? [
          '-c:v',
          'libx264',
          '-preset',
          'veryfast',
          '-tune',
          'zerolatency',
          '-x264-params',
          'scenecut=0:aud=1:sliced-threads=0',
        ]
      : [
          '-c:v',
          'libx265',
          '-preset',
          'ultrafast',
          '-tune',
          'zerolatency',
          '-x265-params',
          'scenecut=0:aud=1:repeat-headers=1:open-gop=0:log-level=error',
        ];
  await run('ffmpeg', [
    '-loglevel',
    'error',
    '-nostdin',
    ...source,
    '-an',
    '-vf',
    `scale=${width}:${height},fps=${fps}`,
    ...encoder,
    '-pix_fmt',
    'yuv420p',
    '-g',
    String(gop),
    '-keyint_min',
    String(gop),
    '-bf',
    '0',
    '-b:v',
    `${bitrateKbit}k`,
    '-maxrate',
    `${bitrateKbit}k`,
    '-bufsize',
    `${bitrateKbit}k`,
    '-f',
    codec === 'h264' ? 'h264' : 'hevc',
    video,
  ]);
  let audio: string | null = null;
  if (spec.audio) {
    audio = `${stem}.aac`;
    await run('ffmpeg', [
      '-loglevel',
      'error',
      '-nostdin',
      '-f',
      'lavfi',
      '-i',
      `sine=frequency=440:sample_rate=48000:duration=${seconds}`,
      '-c:a',
      'aac',
      '-b:a',
      '64k',
      '-f',
      'adts',
      audio,
    ]);
  }
  return { path, fps, codec, video, audio, auth };
}
