import type { ErrorCode, ErrorReport } from '../contract/errors.ts';
import type { Clock } from '../kernel/clock.ts';

export interface Alarm extends ErrorReport {
  readonly sinceUtcMs: number;
  /** null: of the storage as a whole. */
  readonly cameraId: string | null;
}

/** A camera's lost footage stays an alarm for this long after it was last heard of. */
const HOLD_MS = 5 * 60_000;

/** Losses that say something about the disk; others are the camera's own affair. */
const DISK_LOSSES: ReadonlySet<ErrorCode> = new Set([
  'DISK_FULL',
  'DISK_READ_ONLY',
  'DISK_TOO_SLOW',
  'DISK_WRITE_FAILED',
]);

/** What ails the storage, and since when: conditions that are looked at again and again, and losses that were told. */
export class AlarmBook {
  readonly #clock: Pick<Clock, 'utcMs' | 'monotonicMs'>;
  /** By camera and code. */
  readonly #alarms = new Map<string, { readonly alarm: Alarm; readonly endsMonotonicMs: number }>();

  constructor(clock: Pick<Clock, 'utcMs' | 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** All that ails the storage as a whole right now; what is not among it is over. */
  observe(reports: readonly ErrorReport[]): void {
    const codes = new Set(reports.map(({ code }) => code));
    for (const [key, { alarm }] of this.#alarms) {
      if (alarm.cameraId === null && !codes.has(alarm.code)) this.#alarms.delete(key);
    }
    for (const report of reports) this.#raise(report, null, Infinity);
  }

  /** Footage of a camera was lost; true when the disk is to blame. */
  lost(cameraId: string, reason: ErrorReport): boolean {
    if (!DISK_LOSSES.has(reason.code)) return false;
    this.#raise(reason, cameraId, this.#clock.monotonicMs() + HOLD_MS);
    return true;
  }

  /** Those of the storage first, then in the order in which they came. */
  active(): readonly Alarm[] {
    const now = this.#clock.monotonicMs();
    for (const [key, { endsMonotonicMs }] of this.#alarms) {
      if (endsMonotonicMs <= now) this.#alarms.delete(key);
    }
    const alarms = [...this.#alarms.values()].map(({ alarm }) => alarm);
    return [
      ...alarms.filter(({ cameraId }) => cameraId === null),
      ...alarms.filter(({ cameraId }) => cameraId !== null),
    ];
  }

  #raise({ code, message, advice }: ErrorReport, cameraId: string | null, endsMonotonicMs: number): void {
    const key = `${cameraId ?? ''} ${code}`;
    const sinceUtcMs = this.#alarms.get(key)?.alarm.sinceUtcMs ?? this.#clock.utcMs();
    const alarm = { code, message, advice, sinceUtcMs, cameraId };
    this.#alarms.set(key, { alarm, endsMonotonicMs });
  }
}
