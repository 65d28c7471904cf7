/** A real agent in processes of its own, on free ports, with a data directory of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import { subscribe, type ReceivedMessage } from '../../device/bus/index.ts';

export interface TestAgent extends AsyncDisposable {
  /** Of config.yaml. */
  readonly configPath: string;
  readonly dataDir: string;
  readonly metricsPort: number;
  readonly busPort: number;
  readonly apiPort: number;
  readonly gatewayPort: number;
  readonly pid: number;
  /** All that crossed the bus so far. */
  readonly messages: readonly ReceivedMessage[];
  /** What it wrote on stderr so far. */
  log(): string;
  /** The first message, past or to come, that fits. */
  message(fits: (message: ReceivedMessage) => boolean): Promise<ReceivedMessage>;
  /** Process ids of its children whose title fits. */
  children(title: RegExp): Promise<number[]>;
  /** Ctrl-C; resolves to the exit code. */
  interrupt(): Promise<number | null>;
}

export interface TestAgentOptions {
  /** As in config.yaml; ports are set for you. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** As in secrets.yaml. */
  readonly secrets?: object;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Keep this one's data directory. */
  readonly dataDir?: string;
  /** Run on this one's config.yaml as it is: ports are yours, by `env`. */
  readonly configDir?: string;
}

/** Resolves when the agent says that it is ready. */
export async function startAgent(options: TestAgentOptions = {}): Promise<TestAgent> {
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-agent-'));
  const dataDir = options.dataDir ?? join(folder, 'data');
  const configDir = options.configDir ?? folder;
  if (configDir === folder) {
    await writeFile(join(folder, 'config.yaml'), stringify(withFreePorts(options.config ?? {})));
  }
  if (options.secrets) {
    await writeFile(join(folder, 'secrets.yaml'), stringify(options.secrets), { mode: 0o600 });
  }
  const agent = spawn(
    process.execPath,
    // As scripts/run does.
    [
      '--max-semi-space-size=2',
      'device/main.ts',
      'run',
      '--config-dir',
      configDir,
      '--data-dir',
      dataDir,
      ...(options.args ?? []),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } },
  );
  const exited = once(agent, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  let log = '';
  agent.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));

  const messages: ReceivedMessage[] = [];
  let wake = Promise.withResolvers<void>();
  const hearing = new AbortController();
  let heard = Promise.resolve();

  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (agent.exitCode === null && agent.signalCode === null) agent.kill(signal);
    const [code] = await exited;
    hearing.abort();
    await heard;
    return code;
  };
  const dispose = async (): Promise<void> => {
    await end('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  };

  try {
    const ports = await readPorts(agent.stdout);
    if (!ports) throw new Error(`the agent ended before it was ready:\n${log}`);
    agent.stdout.resume();
    const listening = Promise.withResolvers<void>();
    heard = subscribe({
      host: '127.0.0.1',
      port: ports.bus,
      globs: ['*'],
      signal: hearing.signal,
      onMessage(message) {
        messages.push(message);
        wake.resolve();
        wake = Promise.withResolvers();
      },
      onState: (state) => state === 'connected' && listening.resolve(),
    });
    await Promise.race([listening.promise, heard]);
    return {
      configPath: join(configDir, 'config.yaml'),
      dataDir,
      busPort: ports.bus,
      metricsPort: ports.metrics,
      apiPort: ports.api,
      gatewayPort: ports.gateway,
      pid: agent.pid!,
      messages,
      log: () => log,
      async message(fits) {
        for (let next = 0; ;) {
          for (; next < messages.length; next++) if (fits(messages[next]!)) return messages[next]!;
          const over = await Promise.race([wake.promise, exited.then(() => true)]);
          if (over) throw new Error(`the agent ended before the message came:\n${log}`);
        }
      },
      children: (title) => childrenOf(agent.pid!, title),
      interrupt: () => end('SIGINT'),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function withFreePorts(config: Readonly<Record<string, unknown>>): object {
  const { system, dashboards, ...rest } = config;
  return {
    bus: { port: 0 },
    metrics: { port: 0 },
    ...rest,
    system: { control_api: { host: '127.0.0.1', port: 0 }, ...(system as object) },
    dashboards: { websocket_gateway: { host: '127.0.0.1', port: 0 }, ...(dashboards as object) },
  };
}

type Ports = Readonly<Record<keyof typeof GREETED, number>>;

/** In the order in which the agent greets the user with them. */
const GREETED = {
  bus: /mqtt:\/\/[^:]+:(\d+)/,
  metrics: /http:\/\/[^:]+:(\d+)\/metrics/,
  api: /https:\/\/[^:]+:(\d+)/,
  gateway: /wss:\/\/[^:]+:(\d+)\/ws/,
};

/** null when the stream ends before all of them are there. */
async function readPorts(stdout: NodeJS.ReadableStream): Promise<Ports | null> {
  const ports: Partial<Record<keyof Ports, number>> = {};
  for await (const line of createInterface({ input: stdout })) {
    for (const [name, pattern] of Object.entries(GREETED) as [keyof Ports, RegExp][]) {
      const port = portIn(line, pattern);
      if (port !== null) ports[name] = port;
    }
    if (ports.gateway !== undefined) return ports as Ports;
  }
  return null;
}

function portIn(line: string, pattern: RegExp): number | null {
  const found = pattern.exec(line)?.[1];
  return found === undefined ? null : Number(found);
}

async function childrenOf(parent: number, title: RegExp): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      try {
        const [status, command] = await Promise.all([
          readFile(`/proc/${pid}/status`, 'utf8'),
          readFile(`/proc/${pid}/cmdline`, 'utf8'),
        ]);
        return status.includes(`\nPPid:\t${parent}\n`) && title.test(command) ? Number(pid) : null;
      } catch {
        return null; // gone meanwhile
      }
    }),
  );
  return found.filter((pid) => pid !== null);
}
