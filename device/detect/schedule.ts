/** Work of one lane: `units` pieces that may be done at the same time. */
export interface Job {
  readonly units: number;
}

export interface Turn<J extends Job> {
  readonly job: J;
  /** Which piece, from 0. */
  readonly unit: number;
}

interface Lane<J extends Job> {
  /** Begun and not finished; it cannot be superseded any more. */
  active: { readonly job: J; next: number } | null;
  waiting: J | null;
}

/**
 * Shares workers between lanes (one per camera). Pure: it decides, others do.
 *
 * - Latest wins: a lane holds one job that has begun and one that waits; a newer one takes the latter's place.
 * - Jobs of a lane are done one after the other, so answers keep their order.
 * - Round robin, a unit a turn: a lane with work is served after each other lane was served at most once.
 */
export class FairSchedule<J extends Job> {
  /** In order of turns: whoever was served goes to the end. */
  readonly #lanes = new Map<string, Lane<J>>();

  /** Returns the job that had to make way, or null. `job.units` must be at least 1. */
  offer(laneId: string, job: J): J | null {
    const lane = this.#lanes.get(laneId) ?? { active: null, waiting: null };
    this.#lanes.set(laneId, lane);
    const superseded = lane.waiting;
    lane.waiting = job;
    return superseded;
  }

  /** The next unit to work on, or null when there is nothing to begin. */
  take(): Turn<J> | null {
    for (const [laneId, lane] of this.#lanes) {
      if (!lane.active && lane.waiting) {
        lane.active = { job: lane.waiting, next: 0 };
        lane.waiting = null;
      }
      const { active } = lane;
      if (!active || active.next >= active.job.units) continue;
      this.#lanes.delete(laneId);
      this.#lanes.set(laneId, lane);
      return { job: active.job, unit: active.next++ };
    }
    return null;
  }

  /** The job is answered or given up; what is left of it is not begun any more. Harmless when repeated. */
  finish(laneId: string, job: J): void {
    const lane = this.#lanes.get(laneId);
    if (lane?.active?.job === job) lane.active = null;
    if (lane && !lane.active && !lane.waiting) this.#lanes.delete(laneId);
  }

  /** Forgets a lane, and returns its jobs that are not finished. */
  leave(laneId: string): readonly J[] {
    const lane = this.#lanes.get(laneId);
    this.#lanes.delete(laneId);
    return [lane?.active?.job, lane?.waiting].filter((job) => job !== null && job !== undefined);
  }

  /** Forgets everything, and returns all jobs that are not finished. */
  clear(): readonly J[] {
    return [...this.#lanes.keys()].flatMap((laneId) => this.leave(laneId));
  }
}
