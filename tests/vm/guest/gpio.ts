/**
 * Runs inside the machine: the GPIO room with Debian's own tools against simulated chips of the kernel. A line that is
 * let go goes back to its pull; the siren's is pulled up, so that it would sound if nobody held it.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const CONFIGFS = '/sys/kernel/config';
const PATIENCE_MS = 60_000;
const TURN_MS = 20;
const SIREN = 3;
const DOOR = 5;

const tell = (fact: object): boolean => process.stdout.write(`${JSON.stringify(fact)}\n`);

async function until<T>(what: string, look: () => T | undefined | false): Promise<T> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += TURN_MS) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    await delay(TURN_MS);
  }
  throw new Error(`waited in vain for ${what}`);
}

const read = (path: string): string => readFileSync(path, 'utf8').trim();

/** A chip of 8 lines. */
class Chip {
  readonly #dir = `${CONFIGFS}/gpio-sim/spyoncino`;
  #sysfs = '';

  plug(): void {
    mkdirSync(`${this.#dir}/bank0/line${SIREN}`, { recursive: true });
    mkdirSync(`${this.#dir}/bank0/line${DOOR}`);
    writeFileSync(`${this.#dir}/bank0/num_lines`, '8');
    writeFileSync(`${this.#dir}/bank0/line${SIREN}/name`, 'SIREN');
    writeFileSync(`${this.#dir}/bank0/line${DOOR}/name`, 'DOOR');
    writeFileSync(`${this.#dir}/live`, '1');
    this.#sysfs = `/sys/devices/platform/${read(`${this.#dir}/dev_name`)}/${this.name}`;
    this.pull(SIREN, 'up');
  }

  unplug(): void {
    writeFileSync(`${this.#dir}/live`, '0');
    for (const line of [SIREN, DOOR]) rmdirSync(`${this.#dir}/bank0/line${line}`);
    rmdirSync(`${this.#dir}/bank0`);
    rmdirSync(this.#dir);
  }

  get name(): string {
    return read(`${this.#dir}/bank0/chip_name`);
  }

  pull(line: number, way: 'up' | 'down'): void {
    writeFileSync(`${this.#sysfs}/sim_gpio${line}/pull`, `pull-${way}`);
  }

  /** Whether the line is high. */
  isHigh(line: number): boolean {
    return read(`${this.#sysfs}/sim_gpio${line}/value`) === '1';
  }
}

/** An agent's side of the room, in a process that can be killed. */
function startHolder(settings: object): {
  readonly process: ChildProcess;
  readonly said: Record<string, unknown>[];
  ask(what: object): void;
} {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('gpio-holder.ts', import.meta.url)), JSON.stringify(settings)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const said: Record<string, unknown>[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    said.push(JSON.parse(line) as Record<string, unknown>);
  });
  return { process: child, said, ask: (what) => child.stdin.write(`${JSON.stringify(what)}\n`) };
}

/** Process ids of all that runs `name`. */
const processes = (name: string): number[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(name);
      } catch {
        return false;
      }
    });

/** What ails the siren now. */
const faultOf = ({ said }: ReturnType<typeof startHolder>): unknown =>
  said.findLast((fact) => 'fault' in fact)?.['fault'];

/** Resolves when the siren is on, and held. */
async function sound(holder: ReturnType<typeof startHolder>, onMs?: number): Promise<void> {
  const runs = () => holder.said.filter(({ run }) => run === 'started').length;
  const before = runs();
  holder.ask({ pulse: 'siren', onMs });
  await until('the siren', () => runs() > before);
}

const GPIOSET = '/usr/bin/gpioset';
const GUARD = 'gpio/output.sh';

try {
  execFileSync('mount', ['-t', 'configfs', 'config', CONFIGFS]);
  const chip = new Chip();
  chip.plug();
  const siren = {
    ...{ id: 'siren', chip: chip.name, line: 'SIREN', isActiveLow: false, bias: 'as-is' },
    ...{ drive: 'push-pull', restMs: 0, maxOnMs: 6000 },
    pattern: { onMs: 60_000, offMs: 1000, times: 1 },
  };
  const door = {
    ...{ id: 'door', chip: chip.name, line: DOOR, isActiveLow: false, bias: 'as-is' },
    ...{ edge: 'rising', debounceMs: 300, holdOffMs: 0, event: null, armMode: null, pulse: 'siren' },
  };
  const settings = { outputs: [siren], inputs: [door] };
  const isOff = () => !chip.isHigh(SIREN);
  const isOn = () => chip.isHigh(SIREN);

  tell({ beforeTheStart: isOn() ? 'on' : 'off' });
  let holder = startHolder(settings);
  await until('silence at the start', isOff);
  tell({ atTheStart: 'off' });
  await until('the door to be watched', () => holder.said.find((fact) => fact['watched'] === true));

  await sound(holder, 2000);
  await until('its end', isOff);
  await until('word of it', () => holder.said.find(({ run }) => run === 'ended'));
  tell({ pulsed: 'on, then off' });

  for (let bounce = 0; bounce < 5; bounce++) {
    chip.pull(DOOR, 'up');
    chip.pull(DOOR, 'down');
  }
  chip.pull(DOOR, 'up');
  await until('the trigger', () => holder.said.find(({ trigger }) => trigger === 'door'));
  await delay(1000);
  tell({ triggers: holder.said.filter(({ trigger }) => trigger === 'door') });

  // The hard maximum: the pattern asks for a minute.
  const startedMs = performance.now();
  await sound(holder);
  await until('the maximum', isOff);
  tell({ maximum: { isWithin: performance.now() - startedMs < 20_000 } });
  await until('rest', () => holder.said.filter(({ run }) => run === 'ended').length === 2);

  await sound(holder);
  const [tool = 0] = processes(GPIOSET);
  process.kill(tool, 'SIGKILL');
  await until('another holder', () => processes(GPIOSET).some((pid) => pid !== tool) && isOff());
  tell({ toolKilled: 'off' });
  await until('rest', () => holder.said.filter(({ run }) => run === 'ended').length === 3);

  await sound(holder);
  for (const pid of processes(GUARD)) process.kill(pid, 'SIGKILL');
  await until('silence', () => isOff() && processes(GUARD).length > 0);
  tell({ guardKilled: 'off' });
  await until('rest', () => holder.said.filter(({ run }) => run === 'ended').length === 4);

  await sound(holder);
  // Held, it is on all the same; let go, it stays as it was set, as on most chips.
  chip.pull(SIREN, 'down');
  holder.process.kill('SIGKILL');
  await until('silence', isOff);
  await until('the last of its processes', () =>
    [GPIOSET, GUARD].every((name) => processes(name).length === 0),
  );
  tell({ agentKilled: isOn() ? 'on' : 'off' });

  chip.pull(SIREN, 'up');
  holder = startHolder(settings);
  await until('silence at the restart', isOff);
  tell({ restarted: 'off' });
  await sound(holder);
  // The agent and what guards the line at once: the tool goes on through its list, which ends off.
  holder.process.kill('SIGSTOP');
  for (const pid of processes(GUARD)) process.kill(pid, 'SIGKILL');
  holder.process.kill('SIGKILL');
  chip.pull(SIREN, 'down');
  await until('the death of the agent', () => holder.process.signalCode !== null);
  tell({ bothKilled: isOn() ? 'on' : 'off' });
  await until('the end of the list', isOff);
  await until('the last of its processes', () => processes(GPIOSET).length === 0);
  tell({ listEnded: 'off' });

  chip.pull(SIREN, 'up');
  holder = startHolder(settings);
  await until('health', () => faultOf(holder) === null);
  chip.unplug();
  await until('word of the missing chip', () => faultOf(holder) === 'GPIO_CHIP_MISSING');
  tell({ unplugged: 'GPIO_CHIP_MISSING' });
  chip.plug();
  await until('recovery', () => faultOf(holder) === null && isOff());
  tell({ pluggedAgain: 'off' });

  await sound(holder);
  const { said } = holder;
  holder.ask({ stop: true });
  await until('the end', () => said.find(({ stopped }) => stopped === true));
  tell({ stopped: { tools: processes(GPIOSET).length, guards: processes(GUARD).length } });

  const other = spawn('gpioset', ['--chip', chip.name, `${SIREN}=0`], { stdio: 'ignore' });
  await until('another user of the line', () => processes(GPIOSET).length > 0 && isOff());
  holder = startHolder(settings);
  await until('word of the busy line', () => faultOf(holder) === 'GPIO_LINE_BUSY');
  process.kill(processes(GPIOSET)[0]!, 'SIGKILL');
  other.kill('SIGKILL');
  await until('recovery', () => faultOf(holder) === null && isOff());
  tell({ busy: 'GPIO_LINE_BUSY, then off' });
  holder.ask({ stop: true });
  await until('the end', () => holder.said.find(({ stopped }) => stopped === true));
} catch (error) {
  tell({ failed: String(error) });
  process.exitCode = 1;
}
process.exit();
