import { CameraDesk, type CameraDeskOptions, type CameraSummary } from './camera-desk.ts';
import { CodedError } from './contract/errors.ts';
import type { CameraPhase } from './contract/facts.ts';
import type { CameraSettings } from './contract/settings.ts';
import { Slot } from './kernel/slot.ts';

export interface CamerasOptions extends Omit<CameraDeskOptions, 'settings' | 'onState'> {
  readonly onState: (cameraId: string, state: CameraPhase) => void;
  /** Whether a camera begins paused. */
  readonly startsPaused: (settings: CameraSettings) => boolean;
}

export type CameraSlot = Slot<CameraSettings, CameraDesk>;

/** The enabled cameras of the agent: a slot for each. What is done to one never touches another. */
export class Cameras {
  readonly #o: CamerasOptions;
  readonly #slots = new Map<string, CameraSlot>();

  constructor(options: CamerasOptions) {
    this.#o = options;
  }

  get ids(): readonly string[] {
    return [...this.#slots.keys()];
  }

  get slots(): readonly CameraSlot[] {
    return [...this.#slots.values()];
  }

  /** Those that are not paused. */
  get desks(): readonly CameraDesk[] {
    return this.slots.flatMap(({ part }) => part ?? []);
  }

  summaries(): readonly CameraSummary[] {
    return this.desks.map((desk) => desk.summary());
  }

  add(settings: CameraSettings): void {
    const { onState, startsPaused, ...shared } = this.#o;
    const slot: CameraSlot = new Slot(
      settings,
      (now) => new CameraDesk({ ...shared, settings: now, onState: (state) => onState(now.cameraId, state) }),
      startsPaused(settings),
    );
    this.#slots.set(settings.cameraId, slot);
    slot.start();
  }

  async remove(cameraId: string): Promise<void> {
    const slot = this.#slots.get(cameraId);
    this.#slots.delete(cameraId);
    await slot?.stop();
  }

  /** @throws CodedError CAMERA_UNKNOWN */
  slot(cameraId: string): CameraSlot {
    const slot = this.#slots.get(cameraId);
    if (!slot) throw new CodedError('CAMERA_UNKNOWN', cameraId);
    return slot;
  }

  /** @throws CodedError CAMERA_UNKNOWN, or CAMERA_NOT_RUNNING while it is paused */
  desk(cameraId: string): CameraDesk {
    const { part } = this.slot(cameraId);
    if (!part) throw new CodedError('CAMERA_NOT_RUNNING', `${cameraId} is paused`);
    return part;
  }

  async stop(): Promise<void> {
    await Promise.all(this.ids.map((id) => this.remove(id)));
  }
}
