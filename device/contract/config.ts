/** What became of the configuration. */
import type { ErrorReport } from './errors.ts';

/** One key that says something else than before. */
export interface KeyChange {
  /** As people name it: `cameras.porch.fps`. */
  readonly key: string;
  /** undefined where the key was not, or no longer is, there. */
  readonly before?: unknown;
  readonly after?: unknown;
}

export type ConfigFact =
  | {
      readonly type: 'snapshot';
      readonly fingerprint: string;
      readonly author: string;
      readonly changes: readonly KeyChange[];
      /** With every default; no secrets. */
      readonly config: object;
    }
  | { readonly type: 'rejected'; readonly author: string; readonly reason: ErrorReport }
  | {
      readonly type: 'rollback';
      /** What counts now. */
      readonly fingerprint: string;
      readonly from: string;
      /** `request`: somebody asked for it. Else the change did not work out, and why. */
      readonly reason: 'request' | ErrorReport;
      readonly author: string;
    };
