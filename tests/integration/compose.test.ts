/** The compose files and the unit of systemd, as Compose, systemd and the agent read them. No engine is needed. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv, promisify } from 'node:util';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseModules, parsePreset, withExtraArgs } from '../../device/cli/selection.ts';
import { parse, PLACES } from '../../device/cli/verb.ts';
import { loadSettings } from '../../device/settings/index.ts';
import { composed } from '../harness/compose.ts';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['systemd']);

const AGENT = ['-f', 'docker/compose.modular.yaml'];
const HA = [...AGENT, '-f', 'docker/compose.dev-ha.yaml', '--profile', 'ha'];

/** What an agent makes of the variables that a service is given: which modules, and the settings over `config`. */
async function agentOf(env: Readonly<Record<string, string>>, config: object, secrets: object) {
  const configDir = await mkdtemp(join(tmpdir(), 'spyoncino-compose-'));
  try {
    await writeFile(join(configDir, 'config.yaml'), stringify(config));
    await writeFile(join(configDir, 'secrets.yaml'), stringify(secrets), { mode: 0o600 });
    const { values } = parse(withExtraArgs([], env['SPYONCINO_EXTRA_ARGS']), {
      ...PLACES,
      module: { type: 'string', multiple: true },
      'skip-module': { type: 'string', multiple: true },
    });
    const { settings, warnings } = await loadSettings({
      configDir,
      dataDir: join(configDir, 'data'),
      env,
      ...parseModules(values.module, values['skip-module']),
    });
    expect(warnings.filter((warning) => warning.includes('is ignored'))).toEqual([]);
    return { settings, skipped: values['skip-module'] ?? [] };
  } finally {
    await rm(configDir, { recursive: true });
  }
}

test('the agent alone: its surfaces are published, and preset and extra arguments are those of the operator', async () => {
  const env = { SPYONCINO_PRESET: 'sim', SPYONCINO_EXTRA_ARGS: '--module modules.status.resilience_tester' };
  const services = await composed(AGENT, env);
  expect(Object.keys(services)).toEqual(['orchestrator']);
  const { environment = {}, hostname, ports, volumes, build } = services['orchestrator']!;
  expect(hostname).toBe('spyoncino');
  expect(ports.toSorted()).toEqual(['127.0.0.1:1883:1883', '127.0.0.1:9093:9093', '8443:8443', '9443:9443']);
  expect(environment).toMatchObject(env);
  expect(parsePreset(environment['SPYONCINO_PRESET'])).toBe('sim');
  const { settings } = await agentOf(environment, { node: { id: 'attic' } }, {});
  expect(settings).toMatchObject({
    nodeId: 'attic',
    bus: { host: '0.0.0.0' },
    metrics: { host: '0.0.0.0' },
    resilience: { enabled: true },
  });
  expect(volumes).toContainEqual(expect.stringMatching(/\/config:\/config:rw$/));
  expect(existsSync(join(build!.context, build!.dockerfile ?? ''))).toBe(true);
});

test('on a Jetson: the same agent with the GPU of the host, and the settings take its variables', async () => {
  const services = await composed([...AGENT, '-f', 'docker/compose.jetson.yaml'], {
    SPYONCINO_BACKEND: 'tfjs-webgpu',
  });
  const { environment = {}, runtime, group_add: groups, ports } = services['orchestrator']!;
  expect(runtime).toBe('nvidia');
  expect(groups).toEqual(['video', '104']);
  expect(ports).toContain('8443:8443');
  expect(environment).toMatchObject({ NVIDIA_DRIVER_CAPABILITIES: 'compute,graphics,utility' });
  const { settings } = await agentOf(environment, {}, {});
  expect(settings).toMatchObject({ detection: { backend: 'tfjs-webgpu' }, bus: { host: '0.0.0.0' } });
});

test('the standby node: the same bundle of configuration, and nothing goes out twice', async () => {
  const services = await composed(HA);
  const [blue, green] = [services['orchestrator']!, services['orchestrator_canary']!];
  expect([blue.profiles, green.profiles]).toEqual([undefined, ['ha']]);
  const source = ({ volumes }: typeof blue, target: string): string | undefined =>
    volumes.find((volume) => volume.split(':')[1] === target)?.split(':')[0];
  for (const bundle of ['/config', '/certs']) expect(source(green, bundle)).toBe(source(blue, bundle));
  expect(source(green, '/data')).not.toBe(source(blue, '/data'));

  const config = {
    node: { id: 'attic' },
    bus: { bridge: { host: 'broker.example' }, home_assistant: { enabled: true } },
  };
  const secrets = { bus: { bridge: { password: 'secret' } } };
  const { settings, skipped } = await agentOf(green.environment ?? {}, config, secrets);
  expect(settings).toMatchObject({
    nodeId: 'canary',
    bus: { bridge: null, homeAssistant: null },
    resilience: { enabled: true },
  });
  expect(skipped.toSorted()).toEqual(modulesThatTell());
});

/** Those that tell or send something to somebody elsewhere, of all that there are. */
function modulesThatTell(): readonly string[] {
  try {
    parseModules(['no such module']);
  } catch (error) {
    const names = (error as Error).message.match(
      /modules\.(output\.\w+_notifier|storage\.s3_uploader|dashboard\.telegram_bot)/g,
    );
    return (names ?? []).toSorted();
  }
  return [];
}

test('with the standby node caddy owns 8443 and 9443, and no port is asked for twice', async () => {
  const services = await composed(
    HA,
    parseEnv(await readFile('docker/ha.env', 'utf8')) as Record<string, string>,
  );
  const published = Object.values(services).flatMap(({ ports }) =>
    ports.map((port) => port.split(':').at(-2)),
  );
  expect(published.length).toBeGreaterThan(10);
  expect(new Set(published).size).toBe(published.length);
  expect(services['caddy']!.ports.toSorted()).toEqual(['8443:8443', '9443:9443']);
  expect(services['minio']!.ports).toContain('127.0.0.1:9001:9001');
  const names = Object.values(services).flatMap(({ container_name }) => container_name ?? []);
  expect(names.toSorted()).toEqual(['caddy', 'minio', 'spyoncino', 'spyoncino-canary']);
});

test('systemd understands the unit, and its variables lead the agent to the right places', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-unit-'));
  try {
    const unit = await readFile('docker/systemd/spyoncino-modular.service', 'utf8');
    const path = join(folder, 'spyoncino-modular.service');
    await writeFile(path, unit.replaceAll('/opt/spyoncino', process.cwd()));
    const verdict = await promisify(execFile)('systemd-analyze', ['verify', '--man=no', path]);
    expect(verdict).toEqual({ stdout: '', stderr: '' });
    const env = Object.fromEntries(
      [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
    );
    expect(env).toMatchObject({
      SPYONCINO_CONFIG_DIR: '/etc/spyoncino',
      SPYONCINO_DATA_DIR: '/var/lib/spyoncino',
    });
    await agentOf(env, {}, {});
    expect(unit).toMatch(/^ExecStart=\/opt\/spyoncino\/node_modules\/\.bin\/node .*device\/main\.ts run$/m);
  } finally {
    await rm(folder, { recursive: true });
  }
});
