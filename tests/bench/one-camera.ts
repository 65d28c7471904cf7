/**
 * The camera of the benchmarks: 1280×720 at 15 pictures a second, recorded for the whole run, and a 640×360
 * sub-stream at 10, watched for motion. A real RTSP server, and our camera host for it.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CAMERA_HOST_ENV, CAMERA_HOST_FLAGS } from '../../device/camera-desk.ts';
import type { Polygon } from '../../device/contract/geometry.ts';
import { requireFootage } from '../harness/footage.ts';
import { startRtspServer } from '../harness/rtsp-server.ts';
import type { CameraChildReport, CameraChildStart } from './camera-child.ts';

export const NEEDED_PACKAGES = ['ffmpeg', 'gir1.2-gst-rtsp-server-1.0'];

export interface Streams {
  readonly mainUrl: string;
  readonly subUrl: string;
}

export async function startCamera(): Promise<Streams & AsyncDisposable> {
  const file = await requireFootage();
  const look = { codec: 'h264' as const, ...(file && { file }) };
  const server = await startRtspServer({
    streams: [
      { path: '/main', width: 1280, height: 720, fps: 15, bitrateKbit: 2000, ...look },
      { path: '/sub', width: 640, height: 360, fps: 10, bitrateKbit: 400, ...look },
    ],
  });
  return {
    mainUrl: server.url('/main'),
    subUrl: server.url('/sub'),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** With the flags and the environment that the agent gives it; it writes below `dataDir`. */
export function startHost(
  { mainUrl, subUrl }: Streams,
  dataDir: string,
  privacyMasks: readonly Polygon[] = [],
): ChildProcess {
  const host = fork(new URL('camera-child.ts', import.meta.url), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: [...CAMERA_HOST_FLAGS],
    // Compiled code on disk, as device/main.ts has it.
    env: {
      NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
      ...process.env,
      ...CAMERA_HOST_ENV,
    },
  });
  host.send({ mainUrl, subUrl, dataDir, privacyMasks } satisfies CameraChildStart);
  return host;
}

export async function stopHost(host: ChildProcess): Promise<CameraChildReport> {
  host.send('stop');
  const [report] = await once(host, 'message');
  return report as CameraChildReport;
}
