/** The agent itself: how soon a camera works, and what an agent weighs that has nothing to do. */
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

/** With everything: settings, bus, detector, camera host, camera. The detector starts beside it, on the same cores. */
async function startTimes(): Promise<string> {
  const missing = missingPackages(NEEDED_PACKAGES);
  if (missing.length > 0) return `start left out: needs Debian packages ${missing.join(', ')}`;
  await using camera = await startCamera();
  const config = { cameras: [{ camera_id: 'bench', rtsp_url: camera.mainUrl, rtsp_sub_url: camera.subUrl }] };
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const spawnedUtcMs = Date.now();
    await using agent = await startAgent({ config });
    const { payload } = await agent.message(
      ({ topic, payload }) =>
        topic === 'status.camera.bench' && (payload as Payload<'status.camera.*'>).state === 'running',
    );
    times.push((payload as Payload<'status.camera.*'>).since_ts - spawnedUtcMs);
  }
  return table([
    ['agent, from spawn to the first key frame of its camera', 'ms'],
    ...times.map((ms, round) => [`round ${round + 1}`, ms.toFixed(0)]),
  ]);
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
