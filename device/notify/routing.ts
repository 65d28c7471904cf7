/** Who is told of what. Pure. */
import type { ArmMode, IncidentEvent, RouteSettings } from '../contract/notify.ts';
import { GATE_LABEL } from '../contract/update.ts';

/** How things stood when an event began. */
export interface Standing {
  readonly mode: ArmMode;
  readonly isMuted: boolean;
  /** Whether the moment lies within any of the hours. */
  readonly isWithin: (hours: RouteSettings['hours']) => boolean;
}

/** Of the part that only the event decides. */
export function fits(route: RouteSettings, { label, cameraId, zones }: IncidentEvent): boolean {
  const asks = (wanted: readonly string[], given: readonly string[]): boolean =>
    wanted.length === 0 || given.some((each) => wanted.includes(each));
  return asks(route.labels, [label]) && asks(route.cameras, [cameraId]) && asks(route.zones, zones);
}

/** Nothing is told while nobody is to be disturbed. */
export function isTold(route: RouteSettings, event: IncidentEvent, standing: Standing): boolean {
  if (event.label === GATE_LABEL) return false;
  if (standing.mode === 'disarmed' || standing.isMuted) return false;
  if (route.armModes.length > 0 && !route.armModes.includes(standing.mode)) return false;
  if (route.hours.length > 0 && !standing.isWithin(route.hours)) return false;
  return fits(route, event);
}
