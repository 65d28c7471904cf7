import type { Bus } from './bus/index.ts';
import type { Door } from './contract/commands.ts';
import type { GpioInputSettings, GpioSettings, PulseResult } from './contract/gpio.ts';
import type { Meter } from './contract/metrics.ts';
import type { Module } from './contract/modules.ts';
import { Gpio, type Edge } from './gpio/index.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { TaskSet } from './kernel/tasks.ts';

export interface GpioDeskOptions {
  readonly settings: GpioSettings;
  readonly bus: Pick<Bus, 'publish'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

/** What inputs ask for and is not answered yet; beyond it they are not heard. */
const MAX_ASKED = 32;
const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin';

/** Joins the GPIO lines with the bus and the door: what an input asks for comes in as anybody's commands do. */
export class GpioDesk {
  readonly #o: GpioDeskOptions;
  readonly #gpio: Gpio;
  readonly #tasks: TaskSet;
  #door: Door | null = null;
  #asked = 0;

  constructor(options: GpioDeskOptions) {
    const { bus, clock, env, log, meter, settings } = options;
    this.#o = options;
    this.#tasks = new TaskSet((name, error) => log.error({ err: error, task: name }, 'failed'));
    this.#gpio = new Gpio({
      ...{ settings, meter, clock, log },
      path: env['PATH'] ?? DEFAULT_PATH,
      onRun: ({ id }, state, endUtcMs) => bus.publish('gpio.output', { output: id, state, end_ts: endUtcMs }),
      onTrigger: (input, edge) => this.#triggered(input, edge),
    });
  }

  /** All outputs go to their inactive level. */
  start(): Promise<void> {
    return this.#gpio.start();
  }

  /** What inputs ask for before this is called is not done. */
  serve(door: Door): void {
    this.#door = door;
  }

  get modules(): readonly Module[] {
    return this.#gpio.modules;
  }

  configure(settings: GpioSettings): Promise<void> {
    return this.#gpio.configure(settings);
  }

  /** See `Gpio`. */
  pulse(output: string, onMs: number | null): Promise<PulseResult> {
    return this.#gpio.pulse(output, onMs);
  }

  quiet(output: string | null): Promise<readonly string[]> {
    return this.#gpio.quiet(output);
  }

  /** Tells of an incident. */
  async tell(output: string): Promise<void> {
    await this.#gpio.pulse(output);
  }

  async stop(): Promise<void> {
    this.#door = null;
    await this.#gpio.stop();
    await this.#tasks.settle();
  }

  #triggered(input: GpioInputSettings, edge: Edge): void {
    this.#o.bus.publish('gpio.triggered', { input: input.id, edge });
    for (const request of requestsOf(input)) this.#ask(input.id, request);
  }

  #ask(id: string, request: { readonly command: string }): void {
    const { log, meter } = this.#o;
    const door = this.#door;
    if (!door || this.#asked >= MAX_ASKED) {
      meter.count('spyoncino_drops_total', { stage: 'gpio', reason: door ? 'busy' : 'stopped' });
      return;
    }
    this.#asked++;
    this.#tasks.run(`${request.command} of ${id}`, async () => {
      const caller = { user: `gpio:${id}`, role: 'operator', surface: 'gpio' } as const;
      const outcome = await door.submit(request, caller).finally(() => this.#asked--);
      if (outcome.ok) return;
      const { code, message } = outcome.error;
      log.warn({ input: id, command: request.command, code, reason: message }, 'an input was not obeyed');
    });
  }
}

const requestsOf = ({ armMode, event, pulse }: GpioInputSettings) => [
  ...(armMode === null ? [] : [{ command: 'arm.set', arguments: { mode: armMode } }]),
  ...(event?.cameras ?? []).map((cameraId) => ({
    command: 'event.create',
    camera_id: cameraId,
    arguments: { label: event?.label, duration_seconds: (event?.durationMs ?? 0) / 1000 },
  })),
  ...(pulse === null ? [] : [{ command: 'gpio.pulse', arguments: { output: pulse } }]),
];
