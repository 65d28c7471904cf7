/** The recipe's toolbox, and what was built with it, as the tests of an image use them. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { PARTITIONS } from '../build/layout.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
/** At `/cache` inside the toolbox. */
export const cache = `${root}/.cache/image`;
export const inside = `${root}/os-image/recipe/inside.sh`;

/** @throws Error when it fails */
export function run(program: string, args: readonly string[]): void {
  const { status } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`${program.replace(`${root}/`, '')} failed (${status ?? 'killed'})`);
}

/** Runs a program of the toolbox; its output is shown. */
export const toolbox = (...args: readonly string[]): void => run(inside, [cache, ...args]);

/** Where a partition begins on the disk. */
export function startBytes(name: string): number {
  const partition = PARTITIONS.find((each) => each.name === name);
  if (partition === undefined) throw new Error(`no partition is called ${name}`);
  return partition.startMib * 1024 * 1024;
}
