/** `scripts/test-image TARGET`: boots the image and shows that it works; prints what was proven and how long each took. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { request } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { inspectImage } from './inspect.ts';
import { Machine } from './machine.ts';

const USAGE = `Usage: ./scripts/test-image qemu-arm64|raspberrypi

Builds the image (little compressed) if its parts changed, and boots a copy in an emulated machine. Needs what scripts/build-image
needs. A table at the end says what was proven. The console's log: .cache/image/vm/console.log

raspberrypi: the image is read with tools, and checked for what each board wants; in emulated boards it starts as far as the kernel.
`;

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const cache = `${root}/.cache/image`;
/** Emulated and on a busy machine: ten times what it takes on a quiet one. */
const BOOT_TIMEOUT_MS = 10 * 60_000;

interface Proven {
  readonly what: string;
  readonly seconds: number;
}

function run(program: string, args: readonly string[]): void {
  const { status } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`${program} failed (${status ?? 'killed'})`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  const { promise, resolve } = Promise.withResolvers<number>();
  server.once('listening', () => resolve((server.address() as AddressInfo).port));
  const port = await promise;
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Asks `/health` until it answers 200; the box's certificate is its own. */
async function healthy(port: number, signal: AbortSignal): Promise<string> {
  for (;;) {
    signal.throwIfAborted();
    const answer = await new Promise<string | null>((resolve) => {
      const asked = request(
        { host: '127.0.0.1', port, path: '/health', rejectUnauthorized: false, timeout: 10_000 },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => resolve(response.statusCode === 200 ? text : null));
          response.on('error', () => resolve(null));
        },
      );
      asked.on('timeout', () => asked.destroy());
      asked.on('error', () => resolve(null));
      asked.end();
    });
    if (answer !== null) return answer;
    await new Promise((again) => setTimeout(again, 1000));
  }
}

async function test(): Promise<readonly Proven[]> {
  run(`${root}/scripts/build-image`, ['qemu-arm64', '--fast', '--version', '0.1.0']);
  mkdirSync(`${cache}/vm`, { recursive: true });
  const inside = `${root}/os-image/recipe/inside.sh`;
  const base = '/cache/out/spyoncino-0.1.0-qemu-arm64.img';
  run(inside, [cache, 'rm', '-f', '/cache/vm/disk.qcow2']);
  run(inside, [
    cache,
    'qemu-img',
    'create',
    '-q',
    '-f',
    'qcow2',
    '-F',
    'raw',
    '-b',
    base,
    '/cache/vm/disk.qcow2',
    '4G',
  ]);

  const port = await freePort();
  const signal = AbortSignal.timeout(BOOT_TIMEOUT_MS);
  const started = performance.now();
  const proven: Proven[] = [];
  const shown = (what: string): void => {
    const seconds = (performance.now() - started) / 1000;
    proven.push({ what, seconds });
    process.stderr.write(`${seconds.toFixed(1).padStart(7)} s  ${what}\n`);
  };
  const machine = Machine.start(
    [inside, cache],
    '/cache/vm/disk.qcow2',
    '/cache/firmware-qemu-arm64/u-boot.bin',
    port,
    `${cache}/vm/console.log`,
  );
  try {
    await machine.line(/spyoncino: booting slot A, good, 2 attempts left, recovery none/, signal);
    shown('U-Boot reads the boot state, takes one attempt in one write, chooses slot A');
    await machine.line(/Debian GNU\/Linux 13 spyoncino-[0-9a-f]{6} /, signal);
    shown('kernel, dm-verity, data partition checked and mounted: a login prompt with a name of its own');
    await healthy(port, signal);
    shown('the agent answers /health over TLS');
    await machine.line(/spyoncino: slot A is good/, signal);
    shown('the slot gets its attempts back');
  } finally {
    await machine.stop();
  }
  return proven;
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === 'raspberrypi') return inspectImage();
  if (argv[0] === '--help' || argv[0] !== 'qemu-arm64') {
    (argv[0] === '--help' ? process.stdout : process.stderr).write(USAGE);
    return argv[0] === '--help' ? 0 : 2;
  }
  try {
    const proven = await test();
    process.stdout.write('\n| proven in emulation | s after power-on |\n|---|---:|\n');
    for (const { what, seconds } of proven) process.stdout.write(`| ${what} | ${seconds.toFixed(0)} |\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`image: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
