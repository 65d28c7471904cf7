/** The command line as a newcomer meets it. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const spyoncino = (...args: string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(process.execPath, ['device/cli/spyoncino.js', ...args], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });

test('help names every verb, and every verb explains itself', async () => {
  const overview = await spyoncino('--help');
  expect(overview.code).toBe(0);
  const verbs = [...overview.stdout.matchAll(/^ {2}([\w-]+) +\S/gm)].map(([, verb]) => verb!);
  expect(verbs).toEqual([
    'run',
    'analyze',
    'subscribe',
    'command',
    'cameras',
    'media',
    'export',
    'fsck',
    'config',
    'models',
    'update',
    'health-gate',
    'first-boot',
    'factory-reset',
    'verify',
    'remote',
    'keys',
    'decrypt',
    'users',
    'version',
  ]);
  for (const verb of verbs) {
    const help = await spyoncino(verb, '--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain(`usage: spyoncino ${verb}`);
  }
});

test('--version says what runs here', async () => {
  const { stdout, code } = await spyoncino('--version');
  expect(code).toBe(0);
  for (const key of ['spyoncino', 'commit', 'built', 'node', 'ffmpeg', 'tfjs']) {
    expect(stdout).toMatch(new RegExp(`^${key} +\\S`, 'm'));
  }
  expect(stdout).toMatch(/^node +24\./m);
  const json = await spyoncino('version', '--json');
  expect(JSON.parse(json.stdout)).toMatchObject({ node: process.versions.node });
});

test('the command of the original system, without a verb, takes the options of run', async () => {
  const { bin } = JSON.parse(await readFile('package.json', 'utf8')) as { bin: Record<string, string> };
  expect(bin['spyoncino-modular']).toBe(bin['spyoncino']);
  const wrong = await spyoncino('--preset', 'webcam');
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('auto, sim, usb, rtsp');
});

test('what is not understood is refused with exit code 2 and a pointer', async () => {
  for (const args of [
    [],
    ['flay'],
    ['run', '--flags'],
    ['models', 'eat'],
    ['subscribe', '--port', 'x'],
    ['command', 'storage.cleanup'],
    ['command', 'storage.cleanup', 'aggressive', '--username', 'ops'],
    ['config', 'rollback', '--username', 'ops'],
    ['toString'],
  ]) {
    expect(await spyoncino(...args)).toMatchObject({ code: 2 });
  }
  expect((await spyoncino('flay')).stderr).toContain('there is no verb "flay"');
});

test.each([
  ['subscribe'],
  ['command', 'storage.cleanup', '--username', 'ops'],
  ['config', 'rollback', '0123456789ab', '--username', 'ops'],
])('%s where no agent is says so at once', async (...args) => {
  const { code, stderr } = await spyoncino(...args, '--port', '1');
  expect(code).toBe(1);
  expect(stderr).toContain('[BUS_UNREACHABLE]');
  expect(stderr).toContain('./scripts/run');
});
