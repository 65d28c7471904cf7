import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { isAbsolute, join, resolve } from 'node:path';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { LoadOptions } from '../settings/index.ts';

/** One `spyoncino <verb>`. `run` returns the exit code. */
export interface Verb {
  readonly help: string;
  run(argv: readonly string[]): Promise<number>;
}

/** What went wrong, for people. */
export const complaint = ({ message, advice, code }: ErrorReport): string =>
  `spyoncino: ${message}\n  ${advice}  [${code}]\n`;

/** Options that every verb which touches state or settings takes. */
export const PLACES = {
  'config-dir': { type: 'string' },
  'data-dir': { type: 'string' },
} as const satisfies ParseArgsOptionsConfig;

export const PLACES_HELP = `  --config-dir DIR   configuration (SPYONCINO_CONFIG_DIR; config/ in a checkout, else /etc/spyoncino)
  --data-dir DIR     media and state (SPYONCINO_DATA_DIR; data/ in a checkout, else /var/lib/spyoncino)`;

const BACKENDS = ['auto', 'tfjs-wasm', 'tfjs-webgpu', 'tfjs-node', 'onnx'] as const;

export function parseBackend(name: string): (typeof BACKENDS)[number] {
  const backend = BACKENDS.find((known) => known === name);
  if (!backend) throw new CodedError('USAGE', `--backend takes one of ${BACKENDS.join(', ')}`);
  return backend;
}

/** `parseArgs` whose complaints are errors of ours. */
export function parse<O extends ParseArgsOptionsConfig>(
  argv: readonly string[],
  options: O,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals, strict: true as const });
  } catch (error) {
    throw new CodedError('USAGE', (error as Error).message, { cause: error });
  }
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * How to load the settings, with the places by flag, environment, then kind of installation. A configuration that
 * somebody asked for has to be there. Where the data is, the settings say: `storage.path` may name another place.
 */
export function loadOptions(flags: { 'config-dir'?: string; 'data-dir'?: string }): LoadOptions {
  const checkout = existsSync(join(ROOT, '.git'));
  const asked = flags['config-dir'] ?? process.env.SPYONCINO_CONFIG_DIR;
  const dataDir = flags['data-dir'] ?? process.env.SPYONCINO_DATA_DIR;
  return {
    configDir: resolve(asked ?? (checkout ? join(ROOT, 'config') : '/etc/spyoncino')),
    required: asked !== undefined,
    dataDirAsked: dataDir !== undefined,
    dataDir: resolve(dataDir ?? (checkout ? join(ROOT, 'data') : '/var/lib/spyoncino')),
    env: process.env,
    version: packageVersion(),
  };
}

/** Known without a build, too. */
export function packageVersion(): string {
  const text = readFileSync(join(ROOT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** A whole or fractional number in `min..max`. */
export function parseNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max)) {
    throw new CodedError('USAGE', `--${name} takes a number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}

/** Shown to people: below the current directory as a relative path. */
export function friendlyPath(path: string): string {
  const here = `${process.cwd()}/`;
  return isAbsolute(path) && path.startsWith(here) ? path.slice(here.length) : path;
}
