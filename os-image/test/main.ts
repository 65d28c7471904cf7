/** `scripts/test-image TARGET`: boots the image and shows that it works; prints what was proven and how long each took. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Decoder, Demuxer } from 'node-av/api';
import { serveBundle, type BundleServer } from '../../tests/harness/bundle-server.ts';
import { PARTITIONS } from '../build/layout.ts';
import { inspectImage } from './inspect.ts';
import { Machine } from './machine.ts';
import { Shell } from './shell.ts';

const USAGE = `Usage: ./scripts/test-image qemu-arm64|raspberrypi

Builds the image (little compressed) if its parts changed, flashes a disk with it and with an owner's settings, boots that in an
emulated machine, and goes through its life: a camera is recorded, updates are installed, refused and fall back. Needs what
scripts/build-image needs. A table at the end says what was proven. The console's log: .cache/image/vm/console.log

raspberrypi: the image is read with tools, and checked for what each board wants; in emulated boards it starts as far as the kernel.
`;

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const cache = `${root}/.cache/image`;
/** Emulated and on a busy machine: many times what it takes on a quiet one. */
const STEP_TIMEOUT_MS = 15 * 60_000;
const VERSIONS = { first: '0.1.0', next: '0.2.0', broken: '0.3.0' } as const;
const DISK = 'vm/disk.img';

/** The kernel's own camera, and settings as an owner writes them. Detection is off, as emulation is slow. */
const SETTINGS = `hostname: attic
timezone: Europe/Berlin
config:
  cameras:
    - camera_id: attic
      usb_port: auto
      width: 320
      height: 180
      fps: 5
      detection: { enabled: false }
      recording: { pre_seconds: 2, post_seconds: 2 }
`;
const KERNEL_ARGS =
  'spyoncino_args=systemd.debug_shell=ttyAMA1 modules_load=vivid vivid.n_devs=1 vivid.node_types=0x1\n';

interface Proven {
  readonly what: string;
  readonly seconds: number;
}

const inside = `${root}/os-image/recipe/inside.sh`;

function run(program: string, args: readonly string[]): void {
  const { status } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`${program} failed (${status ?? 'killed'})`);
}

const toolbox = (...args: readonly string[]): void => run(inside, [cache, ...args]);
const patience = (): AbortSignal => AbortSignal.timeout(STEP_TIMEOUT_MS);
const bundleOf = (version: string): string => `${cache}/out/spyoncino-${version}-arm64.raucb`;

/** Two versions that work and one whose agent does not start. */
function buildAll(): void {
  for (const version of [VERSIONS.first, VERSIONS.next])
    run(`${root}/scripts/build-image`, ['qemu-arm64', '--fast', '--version', version]);
  const unit = `${cache}/vm/broken/usr/lib/systemd/system/spyoncino-modular.service.d`;
  mkdirSync(unit, { recursive: true });
  writeFileSync(`${unit}/broken.conf`, '[Service]\nExecStart=\nExecStart=/bin/false\n');
  const slot = '/cache/vm/broken-slot';
  const recipe = '/source/os-image/recipe';
  toolbox(
    `${recipe}/slot.sh`,
    ...['/cache', 'arm64', VERSIONS.broken, '/cache/keyring.pem', slot, '3', '/cache/vm/broken'],
  );
  toolbox(`${recipe}/bundle.sh`, slot, '/cache/keys', `/cache/out/spyoncino-${VERSIONS.broken}-arm64.raucb`);
}

/** A card as somebody flashes it, larger than the image, with settings put on its first partition. */
function flash(): void {
  writeFileSync(`${cache}/vm/spyoncino.yaml`, SETTINGS);
  writeFileSync(`${cache}/vm/spyoncino.env`, KERNEL_ARGS);
  const disk = `/cache/${DISK}`;
  toolbox('cp', '--sparse=always', `/cache/out/spyoncino-${VERSIONS.first}-qemu-arm64.img`, disk);
  toolbox('truncate', '-s', '4G', disk);
  const firmware = `${disk}@@${startBytes('firmware')}`;
  toolbox('mcopy', '-i', firmware, '/cache/vm/spyoncino.yaml', '/cache/vm/spyoncino.env', '::');
}

function startBytes(name: string): number {
  const partition = PARTITIONS.find((each) => each.name === name);
  if (partition === undefined) throw new Error(`no partition is called ${name}`);
  return partition.startMib * 1024 * 1024;
}

/** Pictures in a clip that was read from the data partition of a disk that is switched off. */
async function picturesOf(path: string): Promise<number> {
  const copy = 'vm/clip.mp4';
  rmSync(`${cache}/${copy}`, { force: true });
  const data = `/cache/${DISK}?offset=${startBytes('data')}`;
  toolbox('debugfs', '-R', `dump /spyoncino/${path} /cache/${copy}`, data);
  await using input = await Demuxer.open(`${cache}/${copy}`);
  const video = input.video();
  if (!video) throw new Error(`${path} has no video`);
  using decoder = await Decoder.create(video);
  let pictures = 0;
  for await (const frame of decoder.frames(input.packets(video.index))) {
    if (frame !== null) pictures += 1;
    frame?.free();
  }
  return pictures;
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

/** The command line of a box, by a token of its own. */
class Box {
  readonly shell: Shell;

  constructor(shell: Shell) {
    this.shell = shell;
  }

  async ready(): Promise<void> {
    await this.shell.ready(patience());
    await this.shell.must(
      'export SPYONCINO_BUS_USERNAME=test; test -s /data/system/test-token ||' +
        ' runuser -u spyoncino -- spyoncino users token test --role admin >/data/system/test-token;' +
        ' export SPYONCINO_BUS_PASSWORD="$(cat /data/system/test-token)"',
      patience(),
    );
  }

  must = (command: string): Promise<string> => this.shell.must(command, patience());

  async refuses(command: string, code: RegExp): Promise<void> {
    const said = await this.shell.run(command, patience());
    if (said.code === 0 || !code.test(said.text))
      throw new Error(`${command} should be refused by ${code.source}: ${said.code}, ${said.text}`);
  }

  /** Asks again until the answer is that; whoever asks gives it time. */
  async until(command: string, pattern: RegExp): Promise<string> {
    const signal = patience();
    for (let last = ''; ; await new Promise((again) => setTimeout(again, 2000))) {
      if (signal.aborted) throw new Error(`${command} does not come to ${pattern.source}: ${last}`);
      last = (await this.shell.run(command, signal)).text;
      if (pattern.test(last)) return last;
    }
  }

  async expect(command: string, pattern: RegExp): Promise<string> {
    const text = await this.must(command);
    if (!pattern.test(text)) throw new Error(`${command} does not say ${pattern.source}: ${text}`);
    return text;
  }
}

/** As the guest sees this machine. */
const inGuest = (server: BundleServer): string => server.url.replace('127.0.0.1', '10.0.2.2');

type Shown = (what: string) => void;

async function firstBoot(machine: Machine, box: Box, port: number, shown: Shown): Promise<void> {
  await machine.line(/spyoncino: booting slot A, good, 2 attempts left, recovery none/, patience());
  shown('U-Boot reads the boot state, takes one attempt in one write, chooses slot A');
  await machine.line(/Debian GNU\/Linux 13 attic /, patience());
  shown(
    "kernel, dm-verity, data partition mounted; the owner's settings give the host name of the login prompt",
  );
  await healthy(port, patience());
  shown('the agent answers /health over TLS');
  await machine.line(/spyoncino: slot A is good/, patience());
  shown('the slot gets its attempts back');
  await box.ready();
  const rules = await box.must('nft list ruleset');
  const open = [...rules.matchAll(/dport (.*) accept/g)].map(([, ports]) => ports);
  const wanted = ['68', '5353', '{ 8443, 8883, 9443 }'];
  if (!/policy drop/.test(rules) || open.join() !== wanted.join()) throw new Error(`firewall: ${rules}`);
  shown('the firewall is loaded: what is open is 8443, 9443, 8883, mDNS');
  await box.until('systemctl is-active spyoncino-grow.service', /^active$/);
  const ids = await box.must('sfdisk --dump /dev/$(cat /run/spyoncino-image/boot-disk)');
  if (/5b10c1a0/i.test(ids)) throw new Error(`ids as flashed: ${ids}`);
  await box.expect('sfdisk --verify /dev/$(cat /run/spyoncino-image/boot-disk)', /No errors detected/);
  shown('disk and partitions have ids of their own, and the table is whole');
}

/** Resolves to the path of a clip below the data directory. */
async function record(box: Box, shown: Shown): Promise<string> {
  await box.until('spyoncino command camera.snapshot --camera attic', /"path"/);
  shown("the kernel's vivid camera is read by V4L2: a picture of it");
  const event = await box.expect(
    `spyoncino command event.create '{"label": "person", "duration_seconds": 3}' --camera attic`,
    /"event_id": "([^"]+)"/,
  );
  const id = /"event_id": "([^"]+)"/.exec(event)?.[1] ?? '';
  const clip = await box.until(
    `spyoncino command recordings.get '{"item_id": "${id}"}'`,
    /"path": "[^"]+\.mp4"/,
  );
  shown('the clip of an event is there');
  return /"path": "([^"]+)"/.exec(clip)?.[1] ?? '';
}

/** In the background: the restart that follows ends the shell. */
async function install(box: Box, server: BundleServer): Promise<void> {
  await box.must(`spyoncino update install ${inGuest(server)} --timeout 600 >/dev/null 2>&1 &`);
}

async function update(machine: Machine, box: Box, clip: string, shown: Shown): Promise<void> {
  await using server = await serveBundle(readFileSync(bundleOf(VERSIONS.next)));
  await install(box, server);
  await machine.line(/spyoncino: booting slot B, trial, 2 attempts left/, patience());
  shown(
    `${VERSIONS.next} is fetched, verified, written to slot B; the agent asks for a restart, and B is tried`,
  );
  await machine.line(/spyoncino: slot B is good/, patience());
  shown('the health gate confirms it: picture, clip, bus, API');
  await box.ready();
  await box.until('spyoncino update status', new RegExp(`last +${VERSIONS.next}: succeeded`));
  await box.expect('spyoncino update status', /slot B +booted, good/);
  await box.must(`test -s /var/lib/spyoncino/${clip}`);
  await box.expect('hostname', /^attic$/);
  shown('the update is told as succeeded; clip and settings are there');
}

async function refusals(box: Box, shown: Shown): Promise<void> {
  const newer = readFileSync(bundleOf(VERSIONS.broken));
  const unsigned = Buffer.from(newer);
  unsigned.fill(0, unsigned.length - 600, unsigned.length - 300);
  const bundles: readonly (readonly [string, Buffer, RegExp])[] = [
    ['older', readFileSync(bundleOf(VERSIONS.first)), /UPDATE_OLDER/],
    ['truncated', newer.subarray(0, newer.length >> 1), /UPDATE_TRUNCATED|UPDATE_UNSIGNED/],
    ['of a signature that is not whole', unsigned, /UPDATE_UNSIGNED/],
  ];
  for (const [name, content, code] of bundles) {
    await using server = await serveBundle(content);
    server.tag = name.replaceAll(' ', '-');
    await box.refuses(`spyoncino update install ${inGuest(server)} --timeout 300`, code);
    if (server.sentBytes > 1_000_000) throw new Error(`${server.sentBytes} bytes were fetched of it`);
    shown(`a bundle that is ${name} is refused, after ${Math.round(server.sentBytes / 1024)} KiB`);
  }
}

async function fallBack(machine: Machine, box: Box, shown: Shown): Promise<void> {
  await using server = await serveBundle(readFileSync(bundleOf(VERSIONS.broken)));
  await install(box, server);
  await machine.line(/spyoncino: booting slot A, trial, 2 attempts left/, patience());
  shown(`${VERSIONS.broken}, whose agent does not start, is tried in slot A`);
  await machine.line(/spyoncino: the health gate refuses slot A/, patience());
  await machine.line(/spyoncino: booting slot B, good/, patience());
  shown('the health gate refuses it; the next boot is slot B again');
  await box.ready();
  await box.until('spyoncino update status', new RegExp(`last +${VERSIONS.broken}: rolled back`));
  await box.expect('spyoncino update status', /GATE_AGENT_CRASHES/);
  shown('the update is told as rolled back, with the reason');
}

async function test(proven: Proven[]): Promise<void> {
  mkdirSync(`${cache}/vm`, { recursive: true });
  buildAll();
  flash();
  const port = await freePort();
  const shellPort = await freePort();
  const started = performance.now();
  const shown: Shown = (what) => {
    const seconds = (performance.now() - started) / 1000;
    proven.push({ what, seconds });
    process.stderr.write(`${seconds.toFixed(1).padStart(7)} s  ${what}\n`);
  };
  const machine = Machine.start(
    [inside, cache],
    `/cache/${DISK}`,
    '/cache/firmware-qemu-arm64/u-boot.bin',
    port,
    shellPort,
    `${cache}/vm/console.log`,
  );
  try {
    await machine.line(/spyoncino: booting slot/, patience());
    using shell = await Shell.connect(shellPort);
    const box = new Box(shell);
    await firstBoot(machine, box, port, shown);
    const clip = await record(box, shown);
    await update(machine, box, clip, shown);
    await refusals(box, shown);
    await fallBack(machine, box, shown);
    await shell.must('systemctl poweroff', patience());
    await machine.ended(patience());
    const pictures = await picturesOf(clip);
    if (pictures < 5) throw new Error(`${clip} has ${pictures} pictures`);
    shown(`switched off; the clip is read from the disk and decoded: ${pictures} pictures`);
  } finally {
    await machine.stop();
    rmSync(`${cache}/${DISK}`, { force: true });
  }
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === 'raspberrypi') return inspectImage();
  if (argv[0] === '--help' || argv[0] !== 'qemu-arm64') {
    (argv[0] === '--help' ? process.stdout : process.stderr).write(USAGE);
    return argv[0] === '--help' ? 0 : 2;
  }
  const proven: Proven[] = [];
  let code = 0;
  try {
    await test(proven);
  } catch (error) {
    process.stderr.write(`image: ${error instanceof Error ? error.message : String(error)}\n`);
    code = 1;
  }
  // What was shown before a failure is shown all the same.
  process.stdout.write('\n| proven in emulation | s after power-on |\n|---|---:|\n');
  for (const { what, seconds } of proven) process.stdout.write(`| ${what} | ${seconds.toFixed(0)} |\n`);
  return code;
}

process.exitCode = await main(process.argv.slice(2));
