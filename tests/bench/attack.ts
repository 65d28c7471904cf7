/** Whether an event takes longer to its subscriber while others misbehave on the bus; they are a process of their own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startAgent } from '../harness/agent.ts';
import { missingPackages } from '../harness/packages.ts';
import { eventLatenciesMs, encodedFootage, quantile } from './detect.ts';
import { table } from './facts.ts';

const ATTACKS = [
  { name: 'nobody else', kind: null },
  { name: '8 subscribers of everything that never read', kind: 'frozen' },
  { name: '4 clients that flood, and come again', kind: 'flood' },
  { name: '500 idle connections', kind: 'idle' },
  { name: 'nobody else, again', kind: null },
] as const;
const WARM_UP_MS = 2000;

export async function benchAttack(): Promise<string> {
  const missing = missingPackages(['ffmpeg']);
  if (missing.length > 0) return `left out: needs Debian packages ${missing.join(', ')}`;
  const dir = await mkdtemp(join(tmpdir(), 'spyoncino-bench-'));
  const rows = [['event.new at a subscriber, after the moment of its picture', 'events', 'p50 ms', 'p95 ms']];
  try {
    const film = await encodedFootage(dir);
    await using agent = await startAgent({
      config: { cameras: [{ camera_id: 'street', video_file: film }] },
    });
    await agent.message(({ topic }) => topic === 'event.new');
    for (const { name, kind } of ATTACKS) {
      process.stderr.write(`${name} … `);
      const attacker =
        kind &&
        spawn(process.execPath, [join(import.meta.dirname, 'attacker.ts'), String(agent.busPort), kind]);
      await delay(WARM_UP_MS);
      const latenciesMs = await eventLatenciesMs(agent);
      if (attacker) {
        attacker.kill();
        await once(attacker, 'exit');
      }
      const [p50, p95] = [0.5, 0.95].map((share) => quantile(latenciesMs, share).toFixed(0));
      process.stderr.write(`p95 ${p95} ms\n`);
      rows.push([name, String(latenciesMs.length), p50!, p95!]);
    }
  } finally {
    await rm(dir, { recursive: true });
  }
  return table(rows);
}
