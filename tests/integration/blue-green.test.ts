/**
 * Traffic led from one agent to another and back, by the product's Caddyfile and docker/flip: two real agents and a real
 * caddy on this machine in place of containers. The agents have loopback addresses in place of names.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket, type RawData } from 'ws';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { requirePackages } from '../harness/packages.ts';
import { freePort } from '../harness/free-port.ts';

requirePackages(['caddy', 'openssl']);

const run = promisify(execFile);

let folder: string;
let api: number;
let gateway: number;
let agents: readonly TestAgent[] = [];
let caddy: ChildProcess | null = null;
let token: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-flip-'));
  [api, gateway] = [await freePort(), await freePort()];
  await makeCertificates();
  agents = await Promise.all([startNode('blue', '127.0.0.2'), startNode('green', '127.0.0.3')]);
  token = await giveToken();
  await lay();
  caddy = await startCaddy();
}, 120_000);

afterAll(async () => {
  await end(caddy);
  for (const agent of agents) await agent[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Its camera tells which one it is. */
const startNode = (id: string, host: string): Promise<TestAgent> =>
  startAgent({
    config: {
      node: { id },
      cameras: [{ camera_id: id, test_pattern: true, detection: { enabled: false } }],
      system: { control_api: { host, port: api } },
      dashboards: { websocket_gateway: { host, port: gateway } },
    },
    env: { SPYONCINO_CERTS_DIR: join(folder, 'certs') },
  });

/** A token of blue; green is given blue's people and tokens as the runbook says, beside the running agent. */
async function giveToken(): Promise<string> {
  const [from, to] = agents.map(({ dataDir }) => join(dataDir, 'state/access.json')) as [string, string];
  const args = ['users', 'token', 'page', '--role', 'viewer', '--data-dir', agents[0]!.dataDir];
  const { stdout } = await run(process.execPath, ['device/cli/spyoncino.js', ...args]);
  await writeFile(`${to}.new`, await readFile(from), { mode: 0o600 });
  await rename(`${to}.new`, to);
  return stdout.trim();
}

/** Of the bundle that both nodes and caddy share. */
async function makeCertificates(): Promise<void> {
  await mkdir(join(folder, 'certs'));
  for (const name of ['control-api', 'websocket']) {
    const [key, cert] = [join(folder, `certs/${name}.key`), join(folder, `certs/${name}.crt`)];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await run('openssl', ['req', '-x509', ...kind, '-subj', '/CN=attic', '-keyout', key, '-out', cert]);
  }
}

/** docker/ with addresses and ports of this test, and a `docker` that does on this machine what it is told. */
async function lay(): Promise<void> {
  const caddyfile = join(folder, 'docker/caddy/Caddyfile');
  await cp('os-image/docker', join(folder, 'docker'), { recursive: true });
  await rm(join(folder, 'docker/caddy/flipped.caddy'), { force: true });
  let text = await readFile(caddyfile, 'utf8');
  const places: [here: string, there: string][] = [
    ['localhost:2019', `localhost:${await freePort()}`],
    ['agent orchestrator:', 'agent 127.0.0.2:'],
    ['agent orchestrator_canary:', 'agent 127.0.0.3:'],
    ['https://:8443 {', `https://:${api} {\n\tbind 127.0.0.1`],
    ['https://:9443 {', `https://:${gateway} {\n\tbind 127.0.0.1`],
    [' 8443', ` ${api}`],
    [' 9443', ` ${gateway}`],
    ['/certs/', `${folder}/certs/`],
  ];
  for (const [here, there] of places) {
    expect(text).toContain(here);
    text = text.replaceAll(here, there);
  }
  await writeFile(caddyfile, text);
  await mkdir(join(folder, 'bin'));
  const docker = ['#!/bin/sh', 'set -eu', '[ "$1 $2 $3" = "exec caddy caddy" ]', 'shift 3'];
  const where = `exec caddy $(echo "$@" | sed "s#/etc/caddy#${folder}/docker/caddy#")`;
  await writeFile(join(folder, 'bin/docker'), [...docker, where].join('\n'), { mode: 0o755 });
}

/** Resolves when it serves. */
async function startCaddy(): Promise<ChildProcess> {
  const args = ['run', '--config', join(folder, 'docker/caddy/Caddyfile')];
  const env = { ...process.env, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const child = spawn('caddy', args, { stdio: ['ignore', 'ignore', 'pipe'], env });
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    if (!line.includes('serving initial configuration')) continue;
    child.stderr.resume();
    return child;
  }
  throw new Error(`caddy ended:\n${said.join('\n')}`);
}

async function end(child: ChildProcess | null): Promise<void> {
  if (!child) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

async function flip(to: string): Promise<{ code: number; stdout: string }> {
  const env = { ...process.env, PATH: `${folder}/bin:${process.env['PATH']}` };
  return await new Promise((resolve) => {
    execFile(join(folder, 'docker/flip'), [to], { env }, (error, stdout) =>
      resolve({ code: Number(error?.code ?? 0), stdout }),
    );
  });
}

const AT_CADDY = { host: '127.0.0.1', rejectUnauthorized: false } as const;

/** Which camera the control API behind caddy has. */
async function apiCamera(): Promise<string> {
  const headers = { authorization: `Bearer ${token}` };
  const asked = request({ ...AT_CADDY, port: api, path: '/api/cameras', headers, agent: false });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += String(chunk);
  expect({ status: response.statusCode, body }).toMatchObject({ status: 200 });
  const { items } = JSON.parse(body) as { items: { camera_id: string }[] };
  return items.map(({ camera_id }) => camera_id).join();
}

/** A page that is open. */
async function openSocket(): Promise<WebSocket> {
  const headers = { authorization: `Bearer ${token}` };
  const socket = new WebSocket(`wss://127.0.0.1:${gateway}/ws`, { headers, rejectUnauthorized: false });
  socket.on('error', () => {});
  await messageOf(socket, ({ type }) => type === 'ready');
  return socket;
}

/** Which camera the gateway has that this page speaks with. */
async function cameraOf(socket: WebSocket): Promise<string> {
  const answered = messageOf(socket, ({ type }) => type === 'result');
  socket.send(JSON.stringify({ type: 'command', command: 'analytics.timeline', request_id: 'which' }));
  const { cameras } = (await answered)['result'] as { cameras: { camera_id: string }[] };
  return cameras.map(({ camera_id }) => camera_id).join();
}

/** The next message that fits; rejects when the socket is closed before. */
async function messageOf(
  socket: WebSocket,
  fits: (message: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  const found = Promise.withResolvers<Record<string, unknown>>();
  const onMessage = (data: RawData): void => {
    const message = JSON.parse((data as Buffer).toString()) as Record<string, unknown>;
    if (fits(message)) found.resolve(message);
  };
  const onClose = (code: number): void => found.reject(new Error(`the socket was closed: ${code}`));
  socket.on('message', onMessage).once('close', onClose);
  try {
    return await found.promise;
  } finally {
    socket.off('message', onMessage).off('close', onClose);
  }
}

test('both nodes and caddy show the certificates of the bundle', async () => {
  for (const [port, name] of [
    [api, 'control-api'],
    [gateway, 'websocket'],
  ] as const) {
    const { fingerprint256 } = new X509Certificate(await readFile(join(folder, `certs/${name}.crt`)));
    for (const host of ['127.0.0.1', '127.0.0.2', '127.0.0.3']) {
      const socket = connect({ host, port, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      expect(socket.getPeerCertificate().fingerprint256).toBe(fingerprint256);
      socket.destroy();
    }
  }
});

test('after the flip requests go to the other agent, and an open websocket is closed and finds it, too', async () => {
  const before = await openSocket();
  expect([await apiCamera(), await cameraOf(before)]).toEqual(['blue', 'blue']);

  const closed = once(before, 'close');
  expect(await flip('orchestrator_canary')).toEqual({
    code: 0,
    stdout: '8443 and 9443 lead to orchestrator_canary\n',
  });
  await closed;
  const after = await openSocket();
  expect([await apiCamera(), await cameraOf(after)]).toEqual(['green', 'green']);

  // The same once more changes nothing, and costs nobody a connection.
  expect(await flip('orchestrator_canary')).toMatchObject({ code: 0 });
  expect(await cameraOf(after)).toBe('green');
  after.terminate();
});

test('the flip outlives caddy', async () => {
  await end(caddy);
  caddy = await startCaddy();
  expect(await apiCamera()).toBe('green');
});

test('rolling back leads everything to the first agent again', async () => {
  const before = await openSocket();
  const closed = once(before, 'close');
  expect(await flip('orchestrator')).toMatchObject({ code: 0 });
  await closed;
  const after = await openSocket();
  expect([await apiCamera(), await cameraOf(after)]).toEqual(['blue', 'blue']);
  after.terminate();
});

test('what caddy refuses changes nothing', async () => {
  const caddyfile = join(folder, 'docker/caddy/Caddyfile');
  const good = await readFile(caddyfile, 'utf8');
  await writeFile(caddyfile, `${good}\nnonsense {`);
  const socket = await openSocket();
  expect(await flip('orchestrator_canary')).toEqual({ code: 1, stdout: '' });
  expect([await apiCamera(), await cameraOf(socket)]).toEqual(['blue', 'blue']);
  await writeFile(caddyfile, good);
  await end(caddy);
  caddy = await startCaddy();
  expect(await apiCamera()).toBe('blue');
  socket.terminate();
  expect(await flip('somewhere')).toMatchObject({ code: 64 });
});
