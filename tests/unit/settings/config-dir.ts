import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadSettings, type LoadedSettings, type LoadOptions } from '../../../device/settings/index.ts';

/** A directory of configuration files; text is written as it is, everything else as YAML. */
export async function configDir(
  files: { config?: unknown; secrets?: unknown; secretsMode?: number } = {},
): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'spyoncino-config-'));
  const write = async (name: string, content: unknown): Promise<void> =>
    writeFile(join(path, name), typeof content === 'string' ? content : stringify(content));
  if (files.config !== undefined) await write('config.yaml', files.config);
  if (files.secrets !== undefined) {
    await write('secrets.yaml', files.secrets);
    await chmod(join(path, 'secrets.yaml'), files.secretsMode ?? 0o600);
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

/** Loads from a directory made for the purpose. */
export async function load(
  files: Parameters<typeof configDir>[0],
  options: Partial<Omit<LoadOptions, 'configDir'>> = {},
): Promise<LoadedSettings> {
  await using dir = await configDir(files);
  return await loadSettings({ configDir: dir.path, dataDir: '/data', env: {}, ...options });
}

/** Code and message of the refusal; fails when there is none. */
export async function refusal(...args: Parameters<typeof load>): Promise<{ code: string; message: string }> {
  const failed = await load(...args).then(
    () => null,
    (error: unknown) => error as { code: string; message: string },
  );
  if (failed === null) throw new Error('the configuration was accepted');
  return failed;
}
