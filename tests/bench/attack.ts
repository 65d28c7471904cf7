/** How soon an event reaches a subscriber while others misbehave: a real agent, attackers in processes of their own. */
import { spawn } from 'node:child_process';
import { once, type EventEmitter } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectAsync, type MqttClient } from 'mqtt';
import { Access } from '../../device/control/index.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { table } from './facts.ts';
import { cpuMsOf } from './process.ts';

const EVENTS = 60;
/** Below what one client may send, so that nothing waits for its own rate limit. */
const PAUSE_MS = 50;
const CAMERA = 'hall';
const NODE = 'bench';
const COMMANDS = `spyoncino/${NODE}/dashboard/control/command`;

/** Attacks at the same time, by what a reader calls them. */
const PHASES: readonly (readonly [name: string, attacks: readonly string[]])[] = [
  ['before', []],
  ['a subscriber that stops reading', ['frozen']],
  ['a client that floods', ['flood']],
  ['500 idle connections', ['idle']],
  ['strangers who come and go', ['strangers']],
  ['all of them', ['frozen', 'flood', 'idle', 'strangers']],
  ['after', []],
];

export async function benchAttack(): Promise<string> {
  await using agent = await startAgent({
    config: {
      node: { id: NODE },
      cameras: [
        {
          camera_id: CAMERA,
          test_pattern: true,
          detection: { enabled: false },
          recording: { enabled: false },
        },
      ],
      // Beyond the defaults, so that 500 are really held and not turned away.
      bus: { port: 0, limits: { connections: 2000, connections_per_address: 2000 } },
    },
  });
  const secrets = await makeTokens(agent, ['watcher', 'attacker']);
  const client = await connectAsync({
    host: '127.0.0.1',
    port: agent.busPort,
    username: 'watcher',
    password: secrets.get('watcher')!,
  });
  try {
    await client.subscribeAsync(`spyoncino/${NODE}/event/new`, { qos: 1 });
    const rows = [
      [
        'event, from its request by MQTT to a subscriber, over the camera host',
        'p50 ms',
        'p95 ms',
        'max ms',
        'agent CPU %',
      ],
    ];
    for (const [name, attacks] of PHASES) {
      await using _attackers = await attackBy(attacks, {
        BUS_PORT: String(agent.busPort),
        COMMAND_TOPIC: COMMANDS,
        BUS_USER: 'attacker',
        BUS_SECRET: secrets.get('attacker')!,
      });
      rows.push([name, ...(await measure(client, agent.pid))]);
    }
    return table(rows);
  } finally {
    await client.endAsync(true);
  }
}

async function measure(client: MqttClient, agentPid: number): Promise<string[]> {
  const latenciesMs: number[] = [];
  const [cpuMs, startedMs] = [cpuMsOf([agentPid]), performance.now()];
  for (let n = 0; n < EVENTS; n++) {
    const command = { command: 'event.create', camera_id: CAMERA, arguments: { duration_seconds: 1 } };
    const askedMs = performance.now();
    const seen = once(client as unknown as EventEmitter, 'message', { signal: AbortSignal.timeout(30_000) });
    client.publish(COMMANDS, JSON.stringify(command));
    await seen;
    latenciesMs.push(performance.now() - askedMs);
    await systemClock.sleep(PAUSE_MS);
  }
  const busy = (100 * (cpuMsOf([agentPid]) - cpuMs)) / (performance.now() - startedMs);
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (share: number): string => sorted[Math.ceil(share * EVENTS) - 1]!.toFixed(1);
  return [at(0.5), at(0.95), at(1), busy.toFixed(0)];
}

async function makeTokens(agent: TestAgent, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const access = await Access.open({ stateDir: join(agent.dataDir, 'state'), clock: systemClock });
  const secrets = new Map<string, string>();
  for (const name of names) secrets.set(name, await access.addToken(name, 'operator', null));
  return secrets;
}

/** They are at it when the promise resolves, and end with the scope. */
async function attackBy(
  attacks: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<AsyncDisposable> {
  await using building = new AsyncDisposableStack();
  for (const attack of attacks) {
    const path = fileURLToPath(new URL('./attacker.ts', import.meta.url));
    const child = spawn(process.execPath, [path, attack], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    const exited = once(child, 'exit');
    building.defer(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    const failed = exited.then(([code]) =>
      Promise.reject(new Error(`attacker ${attack} ended with ${code}`)),
    );
    await Promise.race([once(child.stdout, 'data'), failed]);
    failed.catch(() => {});
  }
  const owned = building.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
