import type {
  ClipPartialFact,
  ClipReadyFact,
  GapFact,
  SegmentReadyFact,
} from '../../device/contract/facts.ts';
import type { RecordingSettings } from '../../device/contract/settings.ts';
import { RECORDING as DEFAULTS } from '../harness/media.ts';

export interface ChildPlan {
  readonly seed: number;
  readonly run: number;
  readonly dataDir: string;
  /** An `EncodedStream`, serialized. */
  readonly streamFile: string;
  readonly cameraIds: readonly string[];
}

/** A line of the child. */
export type Report = { readonly cameraId: string } & (
  | { readonly type: 'received'; readonly utcMs: number }
  | { readonly type: 'open' | 'close'; readonly eventId: string; readonly utcMs: number }
  | {
      readonly type: 'clip.partial' | 'clip.ready' | 'segment.ready' | 'gap';
      readonly fact: ClipPartialFact | ClipReadyFact | SegmentReadyFact | GapFact;
    }
);

/** Short clips, so that a kill meets files that begin, grow, end and follow one another. */
export const RECORDING: RecordingSettings = {
  ...DEFAULTS,
  preRollMs: 1000,
  postRollMs: 500,
  maxClipMs: 3000,
  bufferBytes: 16 * 2 ** 20,
};
