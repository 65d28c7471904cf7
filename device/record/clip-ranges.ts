import type { ClipPartialFact, ClipReadyFact, ClipState, Coverage } from '../contract/facts.ts';
import type { Meter } from '../contract/metrics.ts';
import { CoverageTracker } from '../kernel/fmp4/coverage.ts';
import type { ClipOver } from '../kernel/fmp4/note.ts';
import type { Fragment } from './cut.ts';
import { Demand } from './demand.ts';
import { coveredSample } from './encode.ts';

export interface ClipRangesOptions {
  readonly cameraId: string;
  readonly maxClipMs: number;
  /** How far back from what is settled an event may yet reach. */
  readonly keepMs: number;
  readonly meter: Meter;
  idFor(startUtcMs: number): string;
  emit(fact: ClipPartialFact | ClipReadyFact): void;
}

interface EventStart {
  readonly startUtcMs: number;
  /** Pre-roll included. */
  readonly fromUtcMs: number;
}

interface Range {
  fromUtcMs: number;
  readonly demand: Demand;
  /** Of each event. */
  readonly starts: Map<string, EventStart>;
  /** Null until there is footage. */
  clipId: string | null;
  /** As told. */
  eventIds: readonly string[];
}

/**
 * Clips that are ranges over segments: which events share one, from when to when, and what of it is durable.
 * Bookkeeping only. Which ranges there are follows from the events alone, not from when the disk was ready.
 */
export class ClipRanges {
  readonly #options: ClipRangesOptions;
  /** In the order of their times; only the last can be without an end. */
  readonly #ranges: Range[] = [];
  readonly #durable = new CoverageTracker();
  /** Those that have ended, for the segment they end in. */
  #complete: readonly ClipOver[] = [];

  constructor(options: ClipRangesOptions) {
    this.#options = options;
  }

  /** `fromUtcMs`: start less pre-roll. */
  open(eventId: string, startUtcMs: number, fromUtcMs: number): void {
    let range = this.#ranges.at(-1);
    if (!range || (range.demand.endUtcMs ?? Infinity) < fromUtcMs) {
      range = { fromUtcMs, demand: new Demand(), starts: new Map(), clipId: null, eventIds: [] };
      this.#ranges.push(range);
    }
    range.fromUtcMs = Math.min(range.fromUtcMs, fromUtcMs);
    range.demand.open(eventId);
    range.starts.set(eventId, { startUtcMs, fromUtcMs });
  }

  /** `endUtcMs`: post-roll included. */
  close(eventId: string, endUtcMs: number): void {
    for (const { demand } of this.#ranges) demand.close(eventId, endUtcMs);
  }

  /** Is durable from now on. */
  add(fragments: readonly Fragment[]): void {
    addTo(this.#durable, fragments);
  }

  /** What a segment that begins at `startUtcMs` is to say of the clips over it, once it holds `fragments` as well. */
  over(startUtcMs: number, fragments: readonly Fragment[]): readonly ClipOver[] {
    this.#complete = this.#complete.filter(({ endUtcMs }) => (endUtcMs ?? Infinity) > startUtcMs);
    const durable = this.#durable.fork();
    addTo(durable, fragments);
    const { ranges } = durable;
    const reachedUtcMs = ranges.at(-1)?.endUtcMs ?? -Infinity;
    const open = this.#ranges.flatMap((range) => {
      const demandEndUtcMs = range.demand.endUtcMs ?? Infinity;
      const coverage = within(ranges, range.fromUtcMs, demandEndUtcMs);
      const [first, last] = [coverage[0], coverage.at(-1)];
      const eventIds = eventsOf(range, (event) => event.startUtcMs <= reachedUtcMs);
      if (!first || !last || eventIds.length === 0) return [];
      const { startUtcMs } = first;
      const endUtcMs = demandEndUtcMs <= reachedUtcMs ? last.endUtcMs : null;
      return { clipId: this.#idOf(range, startUtcMs), startUtcMs, endUtcMs, eventIds };
    });
    return [...this.#complete, ...open];
  }

  /** Up to `settledUtcMs` nothing becomes durable any more. Tells what has begun, and what is complete. */
  settle(settledUtcMs: number): void {
    for (let range; (range = this.#ranges[0]);) {
      const demandEndUtcMs = range.demand.endUtcMs ?? Infinity;
      const endUtcMs = Math.min(demandEndUtcMs, range.fromUtcMs + this.#options.maxClipMs);
      const coverage = within(this.#durable.ranges, range.fromUtcMs, endUtcMs);
      this.#tellBegun(range, coverage, Math.min(settledUtcMs, endUtcMs));
      if (settledUtcMs < endUtcMs) break;
      this.#tellReady(range, coverage, endUtcMs);
      if (demandEndUtcMs <= endUtcMs) this.#ranges.shift();
      else this.#goOn(range, endUtcMs, Math.min(settledUtcMs, demandEndUtcMs));
    }
    const oldestUtcMs = this.#ranges[0]?.fromUtcMs ?? Infinity;
    this.#durable.forgetBefore(Math.min(oldestUtcMs, settledUtcMs - this.#options.keepMs));
  }

  /** Nothing more comes: all ranges end with what is durable. */
  finish(): void {
    const lastUtcMs = this.#durable.ranges.at(-1)?.endUtcMs ?? 0;
    for (const { demand } of this.#ranges) demand.closeAll(lastUtcMs);
    this.settle(Infinity);
  }

  #tellBegun(range: Range, coverage: readonly Coverage[], settledUtcMs: number): void {
    const [first] = coverage;
    const eventIds = eventsOf(range, ({ startUtcMs }) => startUtcMs <= settledUtcMs);
    if (!first || eventIds.length === range.eventIds.length) return;
    range.eventIds = eventIds;
    const clipId = this.#idOf(range, first.startUtcMs);
    this.#options.emit({ type: 'clip.partial', clip: this.#describe(clipId, eventIds, coverage) });
  }

  #tellReady(range: Range, coverage: readonly Coverage[], endUtcMs: number): void {
    const [first] = coverage;
    if (!first) return;
    const clipId = this.#idOf(range, first.startUtcMs);
    const eventIds = eventsOf(range, ({ fromUtcMs }) => fromUtcMs < endUtcMs);
    const clip = this.#describe(clipId, eventIds, coverage);
    const { startUtcMs, durationMs } = clip;
    this.#complete = [...this.#complete, { clipId, startUtcMs, endUtcMs: startUtcMs + durationMs, eventIds }];
    this.#options.meter.count('spyoncino_footage_closed_total', { kind: 'clip' });
    this.#options.emit({ type: 'clip.ready', clip, sha256: null, coverage, recovered: false });
  }

  /** A clip that would grow too long goes on in another, where the next footage is. */
  #goOn(range: Range, fromUtcMs: number, settledUtcMs: number): void {
    const next = this.#durable.ranges.find(({ endUtcMs }) => endUtcMs > fromUtcMs);
    range.fromUtcMs = Math.max(fromUtcMs, next?.startUtcMs ?? settledUtcMs);
    for (const id of range.demand.forgetBefore(range.fromUtcMs)) range.starts.delete(id);
    range.clipId = null;
    range.eventIds = [];
  }

  #idOf(range: Range, startUtcMs: number): string {
    return (range.clipId ??= this.#options.idFor(startUtcMs));
  }

  #describe(clipId: string, eventIds: readonly string[], coverage: readonly Coverage[]): ClipState {
    const { startUtcMs } = coverage[0]!;
    const durationMs = coverage.at(-1)!.endUtcMs - startUtcMs;
    const { cameraId } = this.#options;
    return { clipId, cameraId, eventIds, path: null, startUtcMs, durationMs, sizeBytes: 0 };
  }
}

function addTo(tracker: CoverageTracker, fragments: readonly Fragment[]): void {
  for (const { video, stream } of fragments) {
    for (const packet of video) tracker.add(coveredSample(packet, stream.video.timescale));
  }
}

const eventsOf = ({ demand, starts }: Range, isIn: (event: EventStart) => boolean): readonly string[] =>
  demand.ids.filter((id) => isIn(starts.get(id)!));

/** What of `coverage` lies between the two moments, in whole milliseconds. */
function within(coverage: readonly Coverage[], fromUtcMs: number, toUtcMs: number): readonly Coverage[] {
  return coverage
    .map(({ startUtcMs, endUtcMs }) => ({
      startUtcMs: Math.max(startUtcMs, Math.round(fromUtcMs)),
      endUtcMs: Math.min(endUtcMs, Math.round(toUtcMs)),
    }))
    .filter(({ startUtcMs, endUtcMs }) => startUtcMs < endUtcMs);
}
