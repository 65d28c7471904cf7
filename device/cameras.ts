import { CameraDesk, type CameraDeskOptions, type CameraSummary } from './camera-desk.ts';
import { CodedError } from './contract/errors.ts';
import type { CameraPhase } from './contract/facts.ts';
import type { CameraSettings } from './contract/settings.ts';

export interface CamerasOptions extends Omit<CameraDeskOptions, 'settings' | 'onState'> {
  readonly onState: (cameraId: string, state: CameraPhase) => void;
}

interface Entry {
  readonly settings: CameraSettings;
  /** null while it is disabled or paused. */
  readonly desk: CameraDesk | null;
  readonly isPaused: boolean;
}

/**
 * The cameras of the agent: a desk for each that is enabled. What is done to one camera never touches another.
 * Callers take turns.
 */
export class Cameras {
  readonly #o: CamerasOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: CamerasOptions) {
    this.#o = options;
  }

  get ids(): readonly string[] {
    return [...this.#entries.keys()];
  }

  get desks(): readonly CameraDesk[] {
    return [...this.#entries.values()].flatMap(({ desk }) => desk ?? []);
  }

  /** Of those that are enabled, paused ones included. */
  get settings(): readonly CameraSettings[] {
    return [...this.#entries.values()].map(({ settings }) => settings);
  }

  summaries(): readonly CameraSummary[] {
    return this.desks.map((desk) => desk.summary());
  }

  start(settings: CameraSettings): void {
    this.#entries.set(settings.cameraId, { settings, desk: this.#begin(settings), isPaused: false });
  }

  /** Finishes what is open. */
  async stop(cameraId: string): Promise<void> {
    await this.#entries.get(cameraId)?.desk?.stop();
    this.#entries.delete(cameraId);
  }

  /** The camera runs on `settings` from now on; its process is a new one. A paused camera stays paused. */
  async restart(settings: CameraSettings): Promise<void> {
    const { desk, isPaused = false } = this.#entries.get(settings.cameraId) ?? {};
    await desk?.stop();
    this.#entries.set(settings.cameraId, {
      settings,
      desk: isPaused ? null : this.#begin(settings),
      isPaused,
    });
  }

  /** What changed is none of its process's business. */
  adjust(settings: CameraSettings): void {
    const entry = this.#entries.get(settings.cameraId);
    if (entry) this.#entries.set(settings.cameraId, { ...entry, settings });
  }

  isPaused(cameraId: string): boolean {
    return this.#entries.get(cameraId)?.isPaused ?? false;
  }

  /** Until it is resumed, or the agent restarts. */
  async setPaused(cameraId: string, isPaused: boolean): Promise<void> {
    const entry = this.#entries.get(cameraId);
    if (!entry || entry.isPaused === isPaused) return;
    await entry.desk?.stop();
    const desk = isPaused ? null : this.#begin(entry.settings);
    this.#entries.set(cameraId, { ...entry, desk, isPaused });
  }

  /** @throws CodedError CAMERA_UNKNOWN, or CAMERA_NOT_RUNNING while it is paused */
  desk(cameraId: string): CameraDesk {
    const entry = this.#entries.get(cameraId);
    if (!entry) throw new CodedError('CAMERA_UNKNOWN', cameraId);
    if (!entry.desk) throw new CodedError('CAMERA_NOT_RUNNING', `${cameraId} is paused`);
    return entry.desk;
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.ids.map((id) => this.stop(id)));
  }

  #begin(settings: CameraSettings): CameraDesk {
    const { onState, ...shared } = this.#o;
    const desk = new CameraDesk({
      ...shared,
      settings,
      onState: (state) => onState(settings.cameraId, state),
    });
    desk.start();
    return desk;
  }
}
