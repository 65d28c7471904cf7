import type { StreamInfo } from '../contract/media.ts';
import type { Unit } from './feed.ts';
import type { Sampler } from './sampler.ts';
import type { Timeline } from './timeline.ts';
import type { WallAnchor } from './wall-anchor.ts';

/** What becomes of what one connection gives. Without a promise it is done already. */
export interface Taker extends AsyncDisposable {
  video(unit: Unit, signal: AbortSignal): void | Promise<void>;
  audio(unit: Unit): void;
  /** Gives out what is still inside. */
  flush(): Promise<void>;
  /** The source begins again at its start. */
  restart(): void;
}

/** Named so that a new one always starts with all of its state. */
export interface Generation {
  readonly number: number;
  readonly timeline: Timeline;
  readonly anchor: WallAnchor;
  readonly sampler: Sampler;
  /** null until the first key frame has said what the stream is. */
  info: StreamInfo | null;
}

export const utcOf = (generation: Generation, pts: number, timescale: number): number =>
  generation.anchor.utcMs((pts * 1000) / timescale);
