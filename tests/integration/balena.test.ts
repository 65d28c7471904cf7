/** A device of a balena fleet: the real lock file with the real flock, and a double of the supervisor. */
import { execFile, spawn } from 'node:child_process';
import { chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { balenaFrom, type Balena } from '../../device/balena/index.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { startSupervisor, type SupervisorDouble } from '../doubles/balena-supervisor.ts';
import { startAgent } from '../harness/agent.ts';
import { composed } from '../harness/compose.ts';

const exec = promisify(execFile);
const isRoot = process.getuid?.() === 0;
/** Processes start slowly on a busy machine. */
const PATIENCE = { timeout: 10_000 };
const KEY = 'supervisor-key';
const log = pino({ level: 'silent' });
/** Seconds pass quickly here. */
const clock = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 20), signal),
};

let folder: string;
let lockPath: string;
let supervisor: SupervisorDouble;
let recording: string | null;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-balena-'));
  lockPath = join(folder, 'updates.lock');
  supervisor = await startSupervisor(KEY);
  recording = null;
});
afterEach(async () => {
  await supervisor[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** One that has begun, and ends with its scope. */
function begin(health: () => 'healthy' | 'degraded' | 'error' = () => 'healthy'): Balena & AsyncDisposable {
  const balena = balenaFrom({
    env: { BALENA: '1', BALENA_SUPERVISOR_ADDRESS: supervisor.address, BALENA_SUPERVISOR_API_KEY: KEY },
    ...{ version: '1.2.3', health, recording: () => recording, lockPath, clock, log },
  });
  if (!balena) throw new Error('it is not seen that this is balena');
  balena.start();
  return Object.assign(balena, { [Symbol.asyncDispose]: () => balena.stop() });
}

const isThere = (): Promise<boolean> =>
  stat(lockPath).then(
    () => true,
    () => false,
  );
/** Whether an update of the host would be held back. */
const isFlocked = (): Promise<boolean> =>
  exec('flock', ['--nonblock', lockPath, 'true']).then(
    () => false,
    () => true,
  );

test('without a supervisor there is none', () => {
  const health = () => 'healthy' as const;
  const options = { version: '1', health, recording: () => null, clock, log };
  expect(balenaFrom({ ...options, env: {} })).toBeNull();
  expect(balenaFrom({ ...options, env: { BALENA: '1' } })).toBeNull();
});

test('releases and updates of the host wait while an event is recorded, and no longer', async () => {
  await using balena = begin();
  recording = 'porch';
  await expect.poll(isThere, PATIENCE).toBe(true);
  await expect.poll(isFlocked, PATIENCE).toBe(true);
  expect(balena.module.health().details).toMatchObject({ holds_update_lock: true });
  recording = null;
  await expect.poll(isThere, PATIENCE).toBe(false);
  recording = 'porch';
  await expect.poll(isThere, PATIENCE).toBe(true);
  await balena.stop();
  expect(await isThere()).toBe(false);
});

test.runIf(isRoot)('a lock of the supervisor is never touched', async () => {
  await writeFile(lockPath, 'theirs');
  await chown(lockPath, 65534, 65534);
  recording = 'porch';
  {
    await using balena = begin();
    await expect
      .poll(() => supervisor.asked.filter((line) => line.startsWith('GET')).length, PATIENCE)
      .toBeGreaterThan(3);
    expect(balena.module.health().details).toMatchObject({ holds_update_lock: false });
  }
  expect(await readFile(lockPath, 'utf8')).toBe('theirs');
});

test('what a killed agent left behind holds nothing back', async () => {
  const script = `
    const { UpdateLock } = await import('./device/balena/update-lock.ts');
    await new UpdateLock(${JSON.stringify(lockPath)}, console).take();
    console.log('taken');
    setInterval(() => {}, 1000);`;
  const agent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const text of agent.stdout.setEncoding('utf8')) if (String(text).includes('taken')) break;
  await expect.poll(isFlocked, PATIENCE).toBe(true);
  agent.kill('SIGKILL');
  // The host may restart as soon as the process is gone, ...
  await expect.poll(isFlocked, PATIENCE).toBe(false);
  expect(await isThere()).toBe(true);
  // ... and a release may come as soon as the next one has looked.
  await using _balena = begin();
  await expect.poll(isThere, PATIENCE).toBe(false);
});

test('the fleet sees version and health, and health says what the supervisor does', async () => {
  let health: 'healthy' | 'error' = 'healthy';
  await using balena = begin(() => health);
  await expect
    .poll(() => supervisor.tags, PATIENCE)
    .toEqual({ spyoncino_health: 'healthy', spyoncino_version: '1.2.3' });
  health = 'error';
  await expect.poll(() => supervisor.tags['spyoncino_health'], PATIENCE).toBe('error');
  supervisor.device['update_downloaded'] = true;
  await expect
    .poll(() => balena.module.health(), PATIENCE)
    .toMatchObject({ status: 'healthy', details: { commit: 'c0ffee', update_downloaded: true } });
  supervisor.isDown = true;
  await expect
    .poll(() => balena.module.health(), PATIENCE)
    .toMatchObject({ status: 'degraded', reasons: [{ code: 'BALENA_UNREACHABLE' }] });
  supervisor.isDown = false;
  await expect.poll(() => balena.module.health().status, PATIENCE).toBe('healthy');
});

test('an agent on such a device says so to both sides', async () => {
  await using agent = await startAgent({
    config: { cameras: [{ camera_id: 'porch', test_pattern: true, detection: { enabled: false } }] },
    env: { BALENA: '1', BALENA_SUPERVISOR_ADDRESS: supervisor.address, BALENA_SUPERVISOR_API_KEY: KEY },
  });
  await expect
    .poll(() => Object.keys(supervisor.tags), PATIENCE)
    .toEqual(['spyoncino_health', 'spyoncino_version']);
  const told = await agent.message(
    ({ topic, payload }) =>
      topic === 'status.health.summary' &&
      (payload as Payload<'status.health.summary'>).modules['modules.system.balena']?.status === 'healthy',
  );
  expect(JSON.stringify(told.payload)).not.toContain(KEY);
  expect(agent.log()).not.toContain(KEY);
});

test('a supervisor without tags is asked for them once', async () => {
  supervisor.isOld = true;
  await using balena = begin();
  await expect
    .poll(() => supervisor.asked.filter((line) => line.startsWith('GET')).length, PATIENCE)
    .toBeGreaterThan(3);
  expect(supervisor.asked.filter((line) => line.startsWith('PATCH'))).toHaveLength(1);
  expect(balena.module.health().status).toBe('healthy');
});

test.runIf(isRoot)('a service begins as root, and lets go of all of it', async () => {
  // A root of its own, in a mount namespace that ends with the command.
  const root = join(folder, 'root');
  const script = `
    set -e
    mkdir -p ${root}/usr ${root}/etc ${root}/dev ${root}/config ${root}/data ${root}/tmp/balena ${root}/proc
    mount --rbind /usr ${root}/usr; mount -t proc proc ${root}/proc
    for name in bin lib lib64 sbin; do ln -s usr/$name ${root}/$name; done
    printf 'root:x:0:0::/:/bin/sh\\nspyoncino:x:1000:1000::/:/bin/sh\\n' > ${root}/etc/passwd
    printf 'root:x:0:\\nspyoncino:x:1000:\\n' > ${root}/etc/group
    cp os-image/balena/start ${root}/start
    chroot ${root} /start sh -c '
      touch /config/mine /data/mine /tmp/balena/updates.lock
      test -c /dev/null
      grep -E "^(Uid|CapEff|CapBnd|NoNewPrivs)" /proc/self/status'`;
  const { stdout } = await exec('unshare', ['--mount', '--fork', '--pid', 'sh', '-c', script]);
  const status = Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/:\s+/)),
  );
  expect(status).toEqual({
    Uid: '1000\t1000\t1000\t1000',
    CapEff: '0000000000000000',
    CapBnd: '0000000000000000',
    NoNewPrivs: '1',
  });
});

test('the folder for balena push has what balena looks for, in the form that it takes', async () => {
  const out = join(folder, 'release');
  await exec(process.execPath, ['scripts/build-balena.ts', out]);
  const compose = await readFile(join(out, 'docker-compose.yml'), 'utf8');
  expect(Object.keys(await composed(['-f', join(out, 'docker-compose.yml')]))).toEqual(['agent']);
  const { version, services } = parse(compose) as {
    version: string;
    services: Record<string, { volumes: string[]; build: string }>;
  };
  expect(version).toMatch(/^2\./);
  expect(compose).not.toContain('${');
  // Named volumes only: the supervisor takes no binds.
  for (const { volumes } of Object.values(services)) {
    for (const volume of volumes) expect(volume).toMatch(/^[a-z]+:\//);
  }
  const dockerfile = await readFile(join(out, 'Dockerfile.template'), 'utf8');
  expect(dockerfile.match(/^FROM .*$/gm)).toEqual([
    'FROM --platform=linux/%%BALENA_ARCH%% node:24-bookworm-slim AS build',
    'FROM --platform=linux/%%BALENA_ARCH%% debian:bookworm-slim',
  ]);
  expect(dockerfile.trimEnd()).toMatch(/\nCMD \["run"\]$/);
  for (const [, source] of dockerfile.matchAll(/^COPY (os-image\S+)/gm)) await stat(join(out, source!));
  const contract = parse(await readFile(join(out, 'balena.yml'), 'utf8')) as Record<string, unknown>;
  const own = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  expect(contract).toMatchObject({ name: 'spyoncino', type: 'sw.application', version: own.version });
});
