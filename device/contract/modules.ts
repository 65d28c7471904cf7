/**
 * Modules: the parts of the agent as operators know them, by the names of the original system
 * (`modules.output.telegram_notifier`). A part with several instances (one per camera) has one module for each.
 */
import type { ErrorReport } from './errors.ts';

/** `disabled`: somebody wanted it so. Best first. */
export type ModuleStatus = 'disabled' | 'healthy' | 'degraded' | 'error';

export interface ModuleHealth {
  readonly status: ModuleStatus;
  /** Why it is not healthy; empty when it is. */
  readonly reasons: readonly ErrorReport[];
  /** Numbers and words for operators; no secrets. */
  readonly details: Readonly<Record<string, unknown>>;
}

export interface Module {
  readonly id: string;
  /** Where there are several of `id`: which one, e.g. a camera's id. */
  readonly instance: string | null;
  health(): ModuleHealth;
  /** Absent where pausing makes no sense. */
  readonly pausing?: ModulePausing;
}

/** Takes effect at once. Not kept over a restart of the agent; what should last belongs in the configuration. */
export interface ModulePausing {
  readonly isPaused: boolean;
  setPaused(paused: boolean): void | Promise<void>;
}

/**
 * What stands between a module and its work, so that trouble can be made there on purpose. `module` is an id. See
 * design/bus.md, "Chaos".
 */
export interface ModuleWork {
  /** Work that nobody waits for. It may come late, but in order, or be lost. */
  pass(module: string, work: () => void): void;
  /** Work that somebody waits for. It may come late, or not at all: then it rejects with RESILIENCE_INJECTED. */
  attempt<T>(module: string, work: () => Promise<T>): Promise<T>;
}

/** What a scenario does to a module's work. */
export interface Trouble {
  readonly latencyMs: number;
  readonly dropProbability: number;
  readonly errorProbability: number;
}

/** `modules.input.rtsp_camera[porch]` */
export const moduleName = ({ id, instance }: Pick<Module, 'id' | 'instance'>): string =>
  instance === null ? id : `${id}[${instance}]`;
