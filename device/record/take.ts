import type { Cursor } from './cut.ts';
import { Demand } from './demand.ts';
import type { Gop } from './ring.ts';

/** One stretch of footage for all who want it: from the pre-roll of the first to the post-roll of the last. */
export class Take {
  readonly demand = new Demand();
  cursor: Cursor;
  /** Its end is being written: nobody can join any more. */
  sealed = false;

  constructor(firstGop: number) {
    const start = { gop: firstGop, index: 0 };
    this.cursor = { video: start, audio: start };
  }

  /** Index of the first picture of `gop` that it has yet to write; Infinity when there is none. */
  neededFrom(gop: Gop): number {
    const { video } = this.cursor;
    const end = this.demand.endUtcMs;
    if (gop.no < video.gop || (end !== null && gop.video[0]!.utcMs >= end)) return Infinity;
    return gop.no === video.gop ? video.index : 0;
  }
}
