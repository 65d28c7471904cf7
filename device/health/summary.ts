import { CodedError } from '../contract/errors.ts';
import { moduleName, type Module, type ModuleHealth, type ModuleStatus } from '../contract/modules.ts';

export interface ModuleReport extends ModuleHealth {
  /** By instance, where there are several. */
  readonly instances?: Readonly<Record<string, ModuleHealth>>;
}

export interface HealthSummary {
  /** The worst of what is not disabled. */
  readonly status: Exclude<ModuleStatus, 'disabled'>;
  readonly modules: Readonly<Record<string, ModuleReport>>;
}

const ORDER: readonly ModuleStatus[] = ['disabled', 'healthy', 'degraded', 'error'];

const worst = (statuses: readonly ModuleStatus[]): ModuleStatus =>
  ORDER[Math.max(0, ...statuses.map((status) => ORDER.indexOf(status)))] ?? 'disabled';

/** How all modules are. A module that cannot say how it is has an error; the others are heard all the same. */
export function summarise(modules: readonly Module[]): HealthSummary {
  const reports: Record<string, ModuleReport> = {};
  for (const [id, ofId] of Map.groupBy(modules, (module) => module.id)) {
    const healths = ofId.map((module) => ({ instance: module.instance, health: healthOf(module) }));
    const [only] = healths;
    reports[id] =
      only?.instance === null
        ? only.health
        : {
            status: worst(healths.map(({ health }) => health.status)),
            reasons: healths.flatMap(({ health }) => health.reasons),
            details: {},
            instances: Object.fromEntries(healths.map(({ instance, health }) => [instance ?? '', health])),
          };
  }
  const overall = worst(Object.values(reports).map(({ status }) => status));
  return { status: overall === 'disabled' ? 'healthy' : overall, modules: reports };
}

function healthOf(module: Module): ModuleHealth {
  try {
    const health = module.health();
    return module.pausing?.isPaused && health.status !== 'error' ? { ...health, status: 'disabled' } : health;
  } catch (error) {
    const detail = `${moduleName(module)}: ${error instanceof Error ? error.message : String(error)}`;
    return { status: 'error', reasons: [new CodedError('MODULE_FAILED', detail).report()], details: {} };
  }
}
