/** A machine with a disk image of ours, emulated by QEMU. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** What each target is tried in. `secure-amd64`: amd64 with Secure Boot switched on, and Microsoft's keys in its firmware. */
const MACHINES = {
  'qemu-arm64': [
    ...['qemu-system-aarch64', '-M', 'virt', '-cpu', 'cortex-a72'],
    ...['-bios', '/cache/firmware-qemu-arm64/u-boot.bin'],
  ],
  jetson: [
    ...['qemu-system-aarch64', '-M', 'virt', '-cpu', 'cortex-a72'],
    ...['-bios', '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd'],
  ],
  amd64: ['qemu-system-x86_64', '-M', 'q35', '-cpu', 'max,la57=off', '-bios', '/usr/share/ovmf/OVMF.fd'],
  'secure-amd64': [
    ...['qemu-system-x86_64', '-M', 'q35,smm=on', '-cpu', 'max,la57=off'],
    ...['-global', 'driver=cfi.pflash01,property=secure,value=on'],
    ...['-drive', 'if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd'],
    ...['-drive', 'if=pflash,unit=1,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.ms.fd'],
  ],
} as const;

/** What a scenario may want other than usual. */
export interface Board {
  /** `qemu-arm64` if nothing is said. */
  readonly machine?: keyof typeof MACHINES;
  /** The clock's start: `utc`, or a date and time. */
  readonly rtc?: string;
  /** The card's switch is on "lock". */
  readonly isReadOnly?: boolean;
  /** Without, DHCP still answers, and nothing else does. */
  readonly hasNetwork?: boolean;
  /** The card forgets what it is told to discard; QEMU's, as some real ones, says so and does not. */
  readonly forgets?: boolean;
  /** Not even DHCP answers, and the box cannot be asked from outside. */
  readonly isAlone?: boolean;
  /** More arguments for QEMU. */
  readonly more?: readonly string[];
}

interface Wiring {
  /** A file, or an address `nbd://…`. */
  readonly disk: string;
  /** At this machine the API of the guest answers there. */
  readonly apiPort: number;
  /** And its second serial line here. */
  readonly shellPort: number;
  readonly log: string;
}

/** Of Linux in user space, on every architecture. */
const TICKS_PER_SECOND = 100;

export class Machine {
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();
  #from = 0;
  #ended = false;

  private constructor(process: ChildProcess, log: string) {
    this.#process = process;
    const console = process.stdout;
    if (console === null) throw new Error('the machine has no console');
    console.pipe(createWriteStream(log));
    createInterface({ input: console }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    process.on('exit', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** Programs and paths as seen inside the toolbox. */
  static start(inside: readonly [string, string], board: Board & Wiring): Machine {
    const [program, cache] = inside;
    const { disk, apiPort, shellPort, log, rtc = 'utc', isReadOnly = false, hasNetwork = true } = board;
    const discard = board.forgets ? ',discard=unmap' : '';
    const network = board.isAlone
      ? ['-device', 'virtio-net-pci,romfile=']
      : [
          ...[
            '-netdev',
            `user,id=net,restrict=${hasNetwork ? 'off' : 'on'},hostfwd=tcp:127.0.0.1:${apiPort}-:8443`,
          ],
          ...['-device', 'virtio-net-pci,netdev=net,romfile='],
        ];
    const [emulator, ...firmware] = MACHINES[board.machine ?? 'qemu-arm64'];
    const args = [
      ...[emulator, ...firmware, '-accel', 'tcg,thread=multi'],
      ...['-smp', '2', '-m', '1536', '-nodefaults', '-display', 'none', '-monitor', 'none'],
      ...['-serial', 'stdio', '-serial', `tcp:127.0.0.1:${shellPort},server=on,wait=off`],
      ...['-rtc', `base=${rtc}`],
      ...['-drive', `file=${disk},format=raw,if=none,id=disk${isReadOnly ? ',readonly=on' : ''}${discard}`],
      ...['-device', 'virtio-blk-pci,drive=disk'],
      ...[...network, '-device', 'virtio-rng-pci'],
      ...['-device', 'i6300esb', '-action', 'watchdog=reset', ...(board.more ?? [])],
    ];
    // Its console's input stays open and silent: a key would stop U-Boot.
    return new Machine(spawn(program, [cache, ...args], { stdio: ['pipe', 'pipe', 'inherit'] }), log);
  }

  /** A Raspberry Pi: U-Boot in place of what the firmware would start, and the tree that it would hand over. Its network is not modelled. */
  static startPi(
    inside: readonly [string, string],
    board: 'raspi3b' | 'raspi4b',
    disk: string,
    firmware: string,
    tree: string,
    log: string,
  ): Machine {
    const [program, cache] = inside;
    const args = [
      ...['qemu-system-aarch64', '-M', board, '-display', 'none', '-monitor', 'none'],
      // The console of U-Boot is the small UART.
      ...[
        '-serial',
        'null',
        '-serial',
        'stdio',
        '-kernel',
        `${firmware}/u-boot.bin`,
        '-dtb',
        `${firmware}/${tree}`,
      ],
      ...['-drive', `file=${disk},format=qcow2,if=sd`],
    ];
    return new Machine(spawn(program, [cache, ...args], { stdio: ['pipe', 'pipe', 'inherit'] }), log);
  }

  /** Processor time of the emulator so far. */
  cpuSeconds(): number {
    const all = [this.#process.pid ?? 0];
    // It is a descendant of what we started.
    for (const pid of all)
      all.push(
        ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
      );
    const ticks = all.map((pid) => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ');
      return Number(fields[11]) + Number(fields[12]);
    });
    return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND;
  }

  /** What the console has said so far answers no `line` any more: each boot says the same again. */
  mark(): void {
    this.#from = this.#lines.length;
  }

  /** Waits for a line of the console that matches, since `mark`. Rejects when the machine ends. */
  async line(pattern: RegExp, signal: AbortSignal): Promise<string> {
    for (let next = this.#from; ;) {
      for (; next < this.#lines.length; next += 1) {
        const line = this.#lines[next] ?? '';
        if (pattern.test(line)) return line;
      }
      if (this.#ended) throw new Error(`the machine ended before it said ${pattern.source}`);
      signal.throwIfAborted();
      await this.#more(signal);
    }
  }

  async #more(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
    this.#waiting.delete(resolve);
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
  }

  /** The guest has switched itself off. */
  async ended(signal: AbortSignal): Promise<void> {
    while (!this.#ended) {
      signal.throwIfAborted();
      await this.#more(signal);
    }
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    // `unshare` ignores anything milder; its whole namespace ends with it.
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}
