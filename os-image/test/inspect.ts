/**
 * `scripts/test-image raspberrypi`: takes the image apart, and prints whether each board finds what it wants; then lets the Pi's own
 * U-Boot start it in emulation, as far as QEMU models these boards.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { inspect, type Disk } from '../build/structure.ts';
import { Machine } from './machine.ts';
import { cache, inside, root } from './toolbox.ts';

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

/** Their cards are read at half a megabyte per second, and on a busy machine slower. */
const START_TIMEOUT_MS = 10 * 60_000;

const EMULATED = [
  ['raspi3b', 'bcm2837-rpi-3-b.dtb'],
  ['raspi4b', 'bcm2711-rpi-4-b.dtb'],
] as const;

/** From U-Boot to the kernel's first instruction; `disk` as seen in the toolbox. Rejects when it does not come to that. */
async function start(disk: string, [board, tree]: (typeof EMULATED)[number]): Promise<string> {
  const card = `/cache/vm/${board}.qcow2`;
  mkdirSync(`${cache}/vm`, { recursive: true });
  // A card has a power of two of bytes.
  run(inside, [cache, 'qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', disk, card, '2G']);
  const firmware = '/cache/firmware-raspberrypi/partition';
  const signal = AbortSignal.timeout(START_TIMEOUT_MS);
  const machine = Machine.startPi([inside, cache], board, card, firmware, tree, `${cache}/vm/${board}.log`);
  try {
    await machine.line(/^In: +nulldev/, signal);
    await machine.line(/spyoncino: booting slot A, good, 2 attempts left, recovery none/, signal);
    await machine.line(/^Starting kernel/, signal);
    return `${board}: U-Boot takes uboot.env, hears no key; the boot script chooses slot A; the kernel is started`;
  } finally {
    await machine.stop();
  }
}

/** Exit code: 0, or 1 when something is missing. */
export async function inspectImage(): Promise<number> {
  try {
    const [disk] = run(`${root}/scripts/build-image`, ['raspberrypi']).split('\n');
    if (disk === undefined) throw new Error('no image was made');
    const inToolbox = disk.replace(cache, '/cache');
    run(inside, [cache, '/source/os-image/test/take-apart.sh', inToolbox, '/cache/layout', '/cache/apart']);
    const findings = inspect(read(`${cache}/apart`));
    process.stdout.write('\n| in the image | | |\n|---|---|---|\n');
    for (const { what, verdict, seen } of findings)
      process.stdout.write(`| ${what} | ${verdict} | ${seen} |\n`);
    const count = (verdict: string): number => findings.filter((one) => one.verdict === verdict).length;
    process.stdout.write(`\n${count('yes')} there, ${count('no')} missing, ${count('gap')} known gaps\n`);
    if (count('no') > 0) return 1;
    for (const board of EMULATED) {
      const started = performance.now();
      const said = await start(inToolbox, board);
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      process.stdout.write(`in emulation, ${said} (${seconds} s)\n`);
    }
    return 0;
  } catch (error) {
    process.stderr.write(`image: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}
