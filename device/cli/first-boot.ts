import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import { applyProvision } from '../provision/index.ts';
import { loadSettings } from '../settings/index.ts';
import { complaint, parse, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino first-boot --from DIR --root DIR [--config-dir DIR] [--json]

Applies the settings that lie on the boot partition: spyoncino.yaml, or what Raspberry Pi Imager put there (custom.toml,
rpi-preseed.toml, user-data with network-config). Host name, Wi-Fi, SSH keys, time zone, locale, first configuration.
For a unit of the image, before the network is there. Applies the same settings once; all of them or nothing.

  --from DIR  the boot partition
  --root DIR  the system to set up
  --config-dir DIR  the agent's configuration, where it is not etc/spyoncino below the root
  --json      what was done, as one JSON object

Exit code 0: applied, now or before; 1: nothing was applied, and why; 2: command line not understood.
`,
  async run(argv) {
    const { values } = parse(argv, {
      from: { type: 'string' },
      root: { type: 'string' },
      'config-dir': { type: 'string' },
      json: { type: 'boolean', default: false },
    });
    const { from, json, root } = values;
    if (from === undefined || root === undefined)
      throw new CodedError('USAGE', 'first-boot takes --from and --root');
    const applied = await applyProvision({
      from: resolve(from),
      root: resolve(root),
      configDir: values['config-dir'] === undefined ? null : resolve(values['config-dir']),
      checkConfig,
    });
    const { notes, plan, problems, sources } = applied.provision;
    const wrote = applied.outcome === 'refused' ? [] : applied.wrote;
    if (json) {
      process.stdout.write(
        `${JSON.stringify({ outcome: applied.outcome, sources, wrote, problems, notes, wifi: plan.wifi.length })}\n`,
      );
    } else {
      process.stdout.write(`${applied.outcome}${sources.length === 0 ? '' : `: ${sources.join(', ')}`}\n`);
      for (const path of wrote) process.stdout.write(`  ${path}\n`);
      for (const report of [...problems, ...notes]) process.stderr.write(complaint(report));
    }
    return applied.outcome === 'refused' ? 1 : 0;
  },
};

/** An agent that refuses its first configuration would be no help to anybody. */
async function checkConfig(config: string, secrets: string): Promise<void> {
  const configDir = await mkdtemp(join(tmpdir(), 'spyoncino-first-boot-'));
  try {
    await writeFile(join(configDir, 'config.yaml'), config);
    await writeFile(join(configDir, 'secrets.yaml'), secrets, { mode: 0o600 });
    await loadSettings({ configDir, required: true, dataDir: configDir, dataDirAsked: false, env: {} });
  } finally {
    await rm(configDir, { recursive: true, force: true });
  }
}
