/**
 * The runbooks, executed: blocks of device/design/runbooks.md from top to bottom, each in a shell of its own that knows what
 * the ones before exported. Places and ports are those of this test; systemd and docker are played.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { requirePackages } from '../harness/packages.ts';
import { S3_KEY, startS3Server, type S3Server } from '../harness/s3/server.ts';

requirePackages(['curl', 'docker-compose', 'openssl']);

interface Block {
  readonly chapter: string;
  readonly line: number;
  readonly kind: 'sh' | 'sh docker' | 'sh systemd';
  readonly text: string;
  /** Lines that it must print, in this order; `…` is anything. */
  readonly output: readonly string[];
}

const RUNBOOKS = 'device/design/runbooks.md';
const blocks = blocksOf(await readFile(RUNBOOKS, 'utf8'));

let folder: string;
let agent: TestAgent | null = null;
let bucket: S3Server;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-runbooks-'));
  await mkdir(join(folder, 'etc'));
  // What is changed below the top of the repository is a copy.
  for (const name of ['config', 'os-image']) await cp(name, join(folder, name), { recursive: true });
  await rm(join(folder, 'config/certs'), { recursive: true, force: true });
  await symlink('os-image/docker', join(folder, 'docker'));
  for (const name of ['.git', 'device', 'node_modules', 'package.json', 'tests']) {
    await symlink(resolve(name), join(folder, name));
  }
  await mkdir(join(folder, 'bin'));
  for (const name of ['spyoncino', 'spyoncino-modular']) {
    await symlink(resolve('device/cli/spyoncino.js'), join(folder, 'bin', name));
  }
  await symlink(resolve('tests/harness/docker'), join(folder, 'bin/docker'));
  await writeFile(join(folder, 'exported'), '');
  // In place of MinIO.
  bucket = await startS3Server({ directory: join(folder, 'objects'), bucket: 'footage' });
});

afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await bucket[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function blocksOf(markdown: string): readonly Block[] {
  const found: { -readonly [K in keyof Block]: Block[K] }[] = [];
  let chapter = '';
  for (const match of markdown.matchAll(/^## (.+)$|^```(.+)\n([\s\S]*?)^```$/gm)) {
    const [, title, kind = '', text = ''] = match;
    if (title !== undefined) chapter = title;
    else if (kind === 'output') found.at(-1)!.output = text.trimEnd().split('\n');
    else if (kind === 'sh' || kind === 'sh docker' || kind === 'sh systemd') {
      const line = markdown.slice(0, match.index).split('\n').length;
      found.push({ chapter, line, kind, text, output: [] });
    } else throw new Error(`${RUNBOOKS}: nobody runs blocks of kind "${kind}"`);
  }
  return found;
}

/** With the places and ports of this test. */
function mapped(text: string): string {
  const places = text
    .replaceAll('/etc/spyoncino', `${folder}/etc`)
    .replaceAll('/var/lib/spyoncino', `${folder}/data`);
  if (!agent) return places;
  return places
    .replaceAll('localhost:8443', `localhost:${agent.apiPort}`)
    .replaceAll('localhost:9443', `localhost:${agent.gatewayPort}`)
    .replaceAll('localhost:9093', `localhost:${agent.metricsPort}`)
    .replaceAll('localhost:9000', `127.0.0.1:${bucket.port}`)
    .replace('access_key_id: spyoncino', `access_key_id: ${S3_KEY}`)
    .replace('secret_access_key: spyoncino-secret', `secret_access_key: ${S3_KEY}`)
    .replaceAll(/tests\/tools\/subscribe(?! --count)/g, '$& --count 1')
    .replaceAll(/spyoncino command|config rollback|tests\/tools\/subscribe/g, `$& --port ${agent.busPort}`);
}

/** What a shell prints that was given `text`; rejects unless everything in it succeeds. */
async function typed(text: string): Promise<string> {
  const script = `. ./exported\n${text}\nexport -p >./exported\n`;
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: folder,
    env: {
      ...process.env,
      PATH: `${folder}/bin:${process.env['PATH']}`,
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
    },
  });
  // For those who ask for a password.
  child.stdin.on('error', () => {}).end('correct horse battery\n');
  let [printed, complaints] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (complaints += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`exit code ${code} of:\n${text}\n${printed}\n${complaints}`);
  return printed;
}

/** In place of systemd: the unit is there, and it is started with what its EnvironmentFile says. */
async function played(text: string): Promise<void> {
  for (const [, path = ''] of text.matchAll(/(?:\/opt\/spyoncino\/| )((?:device|docker)\/\S+)/g)) {
    expect(existsSync(path)).toBe(true);
  }
  for (const [, unit] of text.matchAll(/(?:-u|start|stop|--now) (\S+)$/gm))
    expect(unit).toBe('spyoncino-modular');
  if (!text.includes('systemctl enable --now')) return;
  const env = parseEnv(await readFile(join(folder, 'etc/spyoncino.env'), 'utf8')) as Record<string, string>;
  agent = await startAgent({
    configDir: join(folder, 'etc'),
    dataDir: join(folder, 'data'),
    env: {
      ...env,
      SPYONCINO_CAMERAS__PORCH__TEST_PATTERN: 'true',
      SPYONCINO_CAMERAS__PORCH__DETECTION__ENABLED: 'false',
      SPYONCINO_BUS__PORT: '0',
      SPYONCINO_METRICS__PORT: '0',
      SPYONCINO_SYSTEM__CONTROL_API__HOST: '127.0.0.1',
      SPYONCINO_SYSTEM__CONTROL_API__PORT: '0',
      SPYONCINO_DASHBOARDS__WEBSOCKET_GATEWAY__HOST: '127.0.0.1',
      SPYONCINO_DASHBOARDS__WEBSOCKET_GATEWAY__PORT: '0',
    },
  });
}

function expectLines(printed: string, lines: readonly string[]): void {
  let at = 0;
  for (const part of lines.flatMap((line) => line.split('…'))) {
    const found = printed.indexOf(part, at);
    if (found === -1)
      throw new Error(`"${part}" is missing, or not in its place, in:\n${printed.slice(0, 5000)}`);
    at = found + part.length;
  }
}

const named = blocks.map(
  (block) => [`${block.chapter || 'Places'}, line ${block.line}, ${block.kind}`, block] as const,
);

test.each(named)(
  '%s',
  async (_, { kind, text, output }) => {
    if (kind === 'sh systemd') await played(text);
    else expectLines(await typed(mapped(text)), output);
  },
  120_000,
);

test('the health check of the image knows an agent that answers from one that does not', async () => {
  const check = async (port: number): Promise<unknown> =>
    (await once(spawn(process.execPath, ['os-image/docker/healthy.js', String(port)]), 'exit'))[0];
  expect(await check(agent!.apiPort)).toBe(0);
  expect(await check(1)).toBe(1);
});

test('the chapters of the original runbook are there, and lines of it are typed as they stand there', () => {
  expect([...new Set(blocks.map(({ chapter }) => chapter))].filter(Boolean)).toEqual([
    'Startup checklist',
    'Blue/green and rollback',
    'Queue saturation',
    'Websocket dashboard troubleshooting',
    'S3 sync monitoring',
  ]);
  const lines = blocks.map(({ text }) => text).join('');
  for (const line of [
    'docker compose -f docker/compose.modular.yaml up -d',
    'docker compose -f docker/compose.modular.yaml -f docker/compose.dev-ha.yaml --profile ha up -d orchestrator_canary',
    'docker compose logs orchestrator',
    'docker compose stop orchestrator',
    'docker compose restart caddy orchestrator',
    'docker exec caddy caddy reload --config /etc/caddy/Caddyfile',
    'curl -k https://localhost:8443/health',
    'curl -k https://localhost:9443/health',
    'curl http://localhost:9093/metrics',
    "tests/tools/subscribe 'status.*'",
    'systemctl enable --now spyoncino-modular',
    'systemctl stop spyoncino-modular',
    'journalctl -u spyoncino-modular',
    'git rev-parse HEAD',
    'spyoncino-modular --version',
  ]) {
    expect(lines).toContain(line);
  }
});
