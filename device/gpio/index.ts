import { CodedError } from '../contract/errors.ts';
import type { GpioInputSettings, GpioOutputSettings, GpioSettings, PulseResult } from '../contract/gpio.ts';
import type { Module, ModuleHealth } from '../contract/modules.ts';
import { Slot, type Part } from '../kernel/slot.ts';
import { GpioInput, type Edge } from './input.ts';
import type { LineOptions } from './line.ts';
import { GpioOutput } from './output.ts';

export type { Edge } from './input.ts';
export { RestingError } from './output.ts';

export interface GpioOptions extends LineOptions {
  readonly settings: GpioSettings;
  readonly onRun: (output: GpioOutputSettings, state: 'started' | 'ended', endUtcMs: number) => void;
  /** Returns at once. */
  readonly onTrigger: (input: GpioInputSettings, edge: Edge) => void;
}

interface Line extends Part {
  readonly fault: ModuleHealth['reasons'][number] | null;
  readonly details: ModuleHealth['details'];
}

/** All lines that are configured, each in a slot in which it can be built anew or paused. */
export class Gpio {
  readonly #o: GpioOptions;
  readonly #outputs = new Map<string, Slot<GpioOutputSettings, GpioOutput>>();
  readonly #inputs = new Map<string, Slot<GpioInputSettings, GpioInput>>();

  constructor(options: GpioOptions) {
    this.#o = options;
  }

  async start(): Promise<void> {
    await this.configure(this.#o.settings);
  }

  /** Lines whose settings stay the same go on. */
  async configure({ outputs, inputs }: GpioSettings): Promise<void> {
    const { onRun, onTrigger, settings: _settings, ...line } = this.#o;
    // A line may be somebody else's now.
    await Promise.all([endMissing(this.#outputs, outputs), endMissing(this.#inputs, inputs)]);
    await Promise.all([
      fill(
        this.#outputs,
        outputs,
        (settings) => new GpioOutput({ ...line, settings, onRun: (state, ms) => onRun(settings, state, ms) }),
      ),
      fill(
        this.#inputs,
        inputs,
        (settings) => new GpioInput({ ...line, settings, onTrigger: (edge) => onTrigger(settings, edge) }),
      ),
    ]);
  }

  get modules(): readonly Module[] {
    return [
      ...Array.from(this.#outputs, ([id, slot]) => moduleOf('modules.output.gpio_output', id, slot)),
      ...Array.from(this.#inputs, ([id, slot]) => moduleOf('modules.input.gpio_trigger', id, slot)),
    ];
  }

  /** @throws CodedError GPIO_UNKNOWN, GPIO_PAUSED, GPIO_RESTING, and why the line cannot be had */
  async pulse(id: string, onMs: number | null = null): Promise<PulseResult> {
    const { part } = this.#slot(id);
    if (!part) throw new CodedError('GPIO_PAUSED', id);
    return await part.pulse(onMs);
  }

  /** One output, or all of them; resolves when they are off. @throws CodedError GPIO_UNKNOWN */
  async quiet(id: string | null): Promise<readonly string[]> {
    const ids = id === null ? [...this.#outputs.keys()] : [id];
    await Promise.all(ids.map(async (each) => this.#slot(each).part?.quiet()));
    return ids;
  }

  /** All outputs are off when it resolves. */
  async stop(): Promise<void> {
    await Promise.all([...this.#outputs.values(), ...this.#inputs.values()].map((slot) => slot.stop()));
  }

  #slot(id: string): Slot<GpioOutputSettings, GpioOutput> {
    const slot = this.#outputs.get(id);
    if (!slot) throw new CodedError('GPIO_UNKNOWN', id);
    return slot;
  }
}

type Slots<S, P extends Part> = Map<string, Slot<S, P>>;

/** Ends what is not configured any more. */
async function endMissing<S extends { readonly id: string }, P extends Part>(
  slots: Slots<S, P>,
  wanted: readonly S[],
): Promise<void> {
  const gone = [...slots].filter(([id]) => !wanted.some((settings) => settings.id === id));
  await Promise.all(
    gone.map(async ([id, slot]) => {
      slots.delete(id);
      await slot.stop();
    }),
  );
}

async function fill<S extends { readonly id: string }, P extends Part>(
  slots: Slots<S, P>,
  wanted: readonly S[],
  make: (settings: S) => P,
): Promise<void> {
  for (const settings of wanted) {
    const slot = slots.get(settings.id);
    if (!slot) {
      const fresh = new Slot<S, P>(settings, make);
      slots.set(settings.id, fresh);
      fresh.start();
    } else if (!isSame(settings, slot.settings)) await slot.restart(settings);
  }
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const moduleOf = <S, P extends Line>(id: string, instance: string, slot: Slot<S, P>): Module => ({
  ...{ id, instance, pausing: slot },
  health() {
    const { part } = slot;
    if (!part) return { status: 'disabled', reasons: [], details: {} };
    const { details, fault } = part;
    return { status: fault ? 'degraded' : 'healthy', reasons: fault ? [fault] : [], details };
  },
});
