import { bottomCentre, pointInPolygon, type Box } from '../contract/geometry.ts';
import type { ZoneSettings } from '../contract/settings.ts';

/** Sightings in a row on the other side of a border before it counts as crossed. */
const CROSSING_SIGHTINGS = 2;

/** Which zones one object is in. Where it is first seen counts at once; later changes need a second look. */
export class ZonePresence {
  readonly #zones: readonly ZoneSettings[];
  readonly #inside = new Set<string>();
  readonly #entered = new Set<string>();
  readonly #crossing = new Map<string, number>();
  #known = false;

  constructor(zones: readonly ZoneSettings[]) {
    this.#zones = zones;
  }

  /** Returns whether anything changed. */
  see(box: Box, label: string): boolean {
    const feet = bottomCentre(box);
    let changed = false;
    for (const { id, area, labels } of this.#zones) {
      const inside = concerns(labels, label) && pointInPolygon(feet, area);
      if (inside === this.#inside.has(id)) {
        this.#crossing.delete(id);
        continue;
      }
      const sightings = (this.#crossing.get(id) ?? 0) + 1;
      this.#crossing.set(id, sightings);
      if (this.#known && sightings < CROSSING_SIGHTINGS) continue;
      this.#crossing.delete(id);
      if (inside) {
        this.#inside.add(id);
        this.#entered.add(id);
      } else this.#inside.delete(id);
      changed = true;
    }
    this.#known = true;
    return changed;
  }

  /** A new visit begins where it is. */
  restart(): void {
    this.#entered.clear();
    for (const id of this.#inside) this.#entered.add(id);
  }

  /** May an object with this label make an event here? */
  allows(label: string): boolean {
    const { include, exclude } = Object.groupBy(
      this.#zones.filter(({ labels }) => concerns(labels, label)),
      ({ action }) => action,
    );
    const inside = ({ id }: ZoneSettings): boolean => this.#inside.has(id);
    if (exclude?.some(inside)) return false;
    return include === undefined || include.some(inside);
  }

  /** Ids in the order of the configuration. */
  get inside(): readonly string[] {
    return this.#zones.map(({ id }) => id).filter((id) => this.#inside.has(id));
  }

  get entered(): readonly string[] {
    return [...this.#entered];
  }
}

const concerns = (labels: readonly string[], label: string): boolean =>
  labels.length === 0 || labels.includes(label);
