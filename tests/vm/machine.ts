/**
 * A throw-away machine (qemu, software emulation) that boots Debian's kernel and runs one TypeScript file as root.
 * Its root is this machine's own, shared read-only over virtio-9p: the same libraries, the same checkout, no image
 * to build. Boot to the first line of the script takes about ten seconds.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requirePackages } from '../harness/packages.ts';
import { collectModules, fetchKernel, type Kernel } from './kernel.ts';

requirePackages(['qemu-system-x86', 'busybox-static', 'cpio']);

export interface MachineOptions {
  /** Absolute path of the script that the guest runs. It writes one JSON value a line to stdout. */
  readonly script: string;
  /** Kernel modules to load, with their parameters. */
  readonly modules: readonly { readonly name: string; readonly parameters?: string }[];
  readonly cacheDir: string;
  /** That of this machine's Debian when undefined. */
  readonly kernel?: Kernel;
  /** In which the script runs, beside its own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export interface MachineResult {
  /** What the script wrote to stdout. */
  readonly facts: readonly unknown[];
  readonly exitCode: number | null;
  /** Kernel messages and the script's stderr, to explain a failure. */
  readonly console: string;
}

const TRANSPORT = ['virtio_pci', '9p', '9pnet_virtio'];

export async function runInMachine(options: MachineOptions): Promise<MachineResult> {
  const dir = await mkdtemp(join(tmpdir(), 'spyoncino-vm-'));
  try {
    const kernel = options.kernel ?? (await fetchKernel(options.cacheDir));
    const root = join(dir, 'root');
    for (const name of ['bin', 'dev', 'host', 'modules', 'proc', 'sys']) {
      await mkdir(join(root, name), { recursive: true });
    }
    const wanted = [...TRANSPORT, ...options.modules.map(({ name }) => name)];
    const order = await collectModules(kernel, wanted, join(root, 'modules'));
    await copyFile('/bin/busybox', join(root, 'bin/busybox'));
    await writeFile(join(root, 'init'), init(options, order), { mode: 0o755 });
    await succeed('sh', [
      '-c',
      'cd "$1" && find . | cpio -o -H newc --quiet >"$2"',
      'sh',
      root,
      join(dir, 'initramfs'),
    ]);

    const [facts, console] = [join(dir, 'facts'), join(dir, 'console')];
    await boot(kernel.image, join(dir, 'initramfs'), facts, console, options.timeoutMs);
    const lines = (await readFile(facts, 'utf8')).replaceAll('\r', '').split('\n').filter(Boolean);
    const exit = /^exit (\d+)$/.exec(lines.at(-1) ?? '');
    return {
      facts: lines.slice(0, exit ? -1 : undefined).map((line) => JSON.parse(line) as unknown),
      exitCode: exit ? Number(exit[1]) : null,
      console: await readFile(console, 'utf8'),
    };
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** The guest's first and only process. */
function init({ env = {}, script, modules }: MachineOptions, order: readonly string[]): string {
  const parameters = new Map(modules.map(({ name, parameters }) => [`${name}.ko`, parameters ?? '']));
  return `#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev
${order.map((file) => `$bb insmod /modules/${file} ${parameters.get(file) ?? ''}`).join('\n')}
$bb mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /host
$bb mkdir /dev/shm
$bb mount -t tmpfs tmp /dev/shm
export TMPDIR=/dev/shm
${Object.entries(env)
  .map(([name, value]) => `export ${name}=${quote(value)}`)
  .join('\n')}
for name in dev proc sys; do $bb mount --rbind /$name /host/$name; done
$bb stty -F /dev/ttyS1 raw
cd /host
$bb chroot /host ${quote(process.execPath)} ${quote(script)} >/dev/ttyS1 </dev/null
echo exit $? >/dev/ttyS1
$bb poweroff -f
`;
}

const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** Resolves when the guest has switched itself off. */
async function boot(
  kernel: string,
  initramfs: string,
  facts: string,
  console: string,
  timeoutMs: number,
): Promise<void> {
  // Emulated, also where /dev/kvm exists: nested KVM is often slower, or wrong, and this is quick enough.
  const machine = ['-M', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', '1024'];
  const serials = ['-serial', `file:${console}`, '-serial', `file:${facts}`];
  const exported = 'local,id=host,path=/,security_model=none,readonly=on,multidevs=remap';
  const share = ['-fsdev', exported, '-device', 'virtio-9p-pci,fsdev=host,mount_tag=host'];
  const linux = ['-kernel', kernel, '-initrd', initramfs, '-append', 'console=ttyS0 loglevel=4 panic=-1'];
  await succeed(
    'qemu-system-x86_64',
    [...machine, ...serials, ...share, ...linux, '-nodefaults', '-display', 'none', '-no-reboot'],
    timeoutMs,
  );
}

async function succeed(program: string, args: readonly string[], timeoutMs?: number): Promise<void> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(timeoutMs !== undefined && { timeout: timeoutMs, killSignal: 'SIGKILL' as const }),
  });
  let complaint = '';
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (complaint = (complaint + text).slice(-2000)));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  // A killed machine still has a console to read.
  if (code !== 0 && signal !== 'SIGKILL')
    throw new Error(`${program} failed with code ${code}: ${complaint}`);
}
