/** The agent itself: how soon a camera works, and what an agent weighs that has nothing to do. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Payload } from '../../device/contract/topics.ts';
import { startAgent } from '../harness/agent.ts';
import { missingPackages } from '../harness/packages.ts';
import { table } from './facts.ts';
import { NEEDED_PACKAGES, startCamera } from './one-camera.ts';
import { ownPssBytesOf, ownRssBytesOf } from './process.ts';

const IDLE_MS = 30_000;
const ROUNDS = 3;

export async function benchAgent(): Promise<string> {
  return [await startTimes(), await idleMemory()].join('\n\n');
}

/**
 * With everything: settings, bus, detector, camera host, camera. The detector starts beside it, on the same cores. What
 * the camera takes to answer and to send a key frame is its own, and stands apart.
 */
async function startTimes(): Promise<string> {
  const missing = missingPackages(NEEDED_PACKAGES);
  if (missing.length > 0) return `start left out: needs Debian packages ${missing.join(', ')}`;
  await using camera = await startCamera();
  const rows: string[][] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const spawnedUtcMs = Date.now();
    await using door = await doorTo(camera.mainUrl);
    const [rtsp_url, rtsp_sub_url] = [door.urlOf(camera.mainUrl), door.urlOf(camera.subUrl)];
    await using agent = await startAgent({
      config: { cameras: [{ camera_id: 'bench', rtsp_url, rtsp_sub_url }] },
    });
    const { payload } = await agent.message(
      ({ topic, payload }) =>
        topic === 'status.camera.bench' && (payload as Payload<'status.camera.*'>).state === 'running',
    );
    const askedUtcMs = await door.firstVisit;
    const keyFrameUtcMs = (payload as Payload<'status.camera.*'>).since_ts;
    rows.push([
      `round ${round}`,
      ...[askedUtcMs - spawnedUtcMs, keyFrameUtcMs - askedUtcMs, keyFrameUtcMs - spawnedUtcMs].map(String),
    ]);
  }
  return table([['agent, from its spawn, ms', 'asks its camera', 'camera: key frame', 'in all'], ...rows]);
}

interface Door extends AsyncDisposable {
  /** UTC ms at which somebody came first. */
  readonly firstVisit: Promise<number>;
  urlOf(url: string): string;
}

/** A way to the camera that notes when somebody takes it. */
async function doorTo(url: string): Promise<Door> {
  const { hostname, port } = new URL(url);
  const visited = Promise.withResolvers<number>();
  const open = new Set<Socket>();
  const door = createServer((visitor) => {
    visited.resolve(Date.now());
    const camera = connect(Number(port), hostname);
    for (const [socket, other] of [
      [visitor, camera],
      [camera, visitor],
    ] as const) {
      open.add(socket);
      socket.on('error', () => other.destroy()).on('close', () => open.delete(socket));
      socket.pipe(other);
    }
  });
  door.listen(0, '127.0.0.1');
  await once(door, 'listening');
  const { port: ownPort } = door.address() as AddressInfo;
  return {
    firstVisit: visited.promise,
    urlOf(url) {
      const through = new URL(url);
      through.host = `127.0.0.1:${ownPort}`;
      return through.href;
    },
    async [Symbol.asyncDispose]() {
      door.close();
      for (const socket of open) socket.destroy();
      await once(door, 'close');
    },
  };
}

async function idleMemory(): Promise<string> {
  await using agent = await startAgent({
    config: { cameras: [{ camera_id: 'off', enabled: false, test_pattern: true }] },
  });
  await delay(IDLE_MS);
  const processes = [
    ['agent', agent.pid],
    ...(await agent.children(/detect/)).map((pid) => ['detect host', pid] as const),
  ] as const;
  return table([
    ['idle: the only camera is switched off', 'RSS MB', 'PSS MB'],
    ...processes.map(([name, pid]) => [
      name,
      (ownRssBytesOf(pid) / 1e6).toFixed(0),
      (ownPssBytesOf(pid) / 1e6).toFixed(0),
    ]),
  ]);
}
