/** What a process loads it carries for as long as it runs: what its work does not need stays out. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { importsOf } from './layers.ts';

test('the agent loads no native library', async () => {
  const agent = new URL('../../device/cli/run.ts', import.meta.url).href;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    '--input-type=module',
    '--eval',
    `await import(${JSON.stringify(agent)});
     process.stdout.write(JSON.stringify(process.report.getReport().sharedObjects))`,
  ]);
  const loaded = JSON.parse(stdout) as string[];
  expect(loaded.length).toBeGreaterThan(0);
  expect(loaded.filter((path) => path.endsWith('.node'))).toEqual([]);
});

test('a camera host loads no schemas and no models', async () => {
  const host = new URL('../../device/camera-host.ts', import.meta.url).pathname;
  const packages = new Map<string, string>();
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const specifier of importsOf(withoutTypes(readFileSync(file, 'utf8')))) {
      if (specifier.startsWith('.')) visit(resolve(dirname(file), specifier));
      else packages.set(specifier, file);
    }
  };
  visit(host);
  expect(packages.has('pino')).toBe(true);
  for (const name of ['zod', 'yaml']) expect(packages.get(name)).toBeUndefined();
});

/** Imports of types alone load nothing. */
const withoutTypes = (source: string): string => source.replaceAll(/^(?:im|ex)port type [^;]*;/gm, '');
