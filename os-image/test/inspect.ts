/** `scripts/test-image raspberrypi`: takes the image apart, and prints whether each board finds what it wants. */
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inspect, type Disk } from '../build/structure.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const cache = `${root}/.cache/image`;

function run(program: string, args: readonly string[]): string {
  const { status, stdout } = spawnSync(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${program.replace(`${root}/`, '')} failed (${status ?? 'killed'})`);
  return stdout;
}

function filesBelow(dir: string): ReadonlyMap<string, Buffer> {
  const names = globSync('**', { cwd: dir }).filter((name) => statSync(`${dir}/${name}`).isFile());
  return new Map(names.map((name) => [name, readFileSync(`${dir}/${name}`)]));
}

function read(dir: string): Disk {
  const lines = (name: string): ReadonlySet<string> =>
    new Set(readFileSync(`${dir}/${name}`, 'utf8').split('\n'));
  return {
    head: readFileSync(`${dir}/head`),
    grown: readFileSync(`${dir}/grown`),
    bootState: readFileSync(`${dir}/boot_state`),
    firmware: filesBelow(`${dir}/firmware`),
    boot: filesBelow(`${dir}/boot`),
    root: lines('root.list'),
    builtin: readFileSync(`${dir}/modules.builtin`, 'utf8'),
    initrd: lines('initrd.list'),
    verity: readFileSync(`${dir}/verity`, 'utf8').trim() || null,
  };
}

/** Exit code: 0, or 1 when something is missing. */
export function inspectImage(): number {
  try {
    const [disk] = run(`${root}/scripts/build-image`, ['raspberrypi']).split('\n');
    if (disk === undefined) throw new Error('no image was made');
    run(`${root}/os-image/recipe/inside.sh`, [
      cache,
      '/source/os-image/test/take-apart.sh',
      disk.replace(cache, '/cache'),
      '/cache/layout',
      '/cache/apart',
    ]);
    const findings = inspect(read(`${cache}/apart`));
    process.stdout.write('\n| in the image | | |\n|---|---|---|\n');
    for (const { what, verdict, seen } of findings)
      process.stdout.write(`| ${what} | ${verdict} | ${seen} |\n`);
    const count = (verdict: string): number => findings.filter((one) => one.verdict === verdict).length;
    process.stdout.write(`\n${count('yes')} there, ${count('no')} missing, ${count('gap')} known gaps\n`);
    return count('no') === 0 ? 0 : 1;
  } catch (error) {
    process.stderr.write(`image: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}
