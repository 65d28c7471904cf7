import { linkHash, type Linked } from './chain.ts';
import type { Store } from './store.ts';

/** Somewhere else it was written down that link `position` of a camera's chain had this hash. */
export interface Anchor {
  readonly cameraId: string;
  readonly position: number;
  readonly hash: string;
  /** Who says so: for messages. */
  readonly from: string;
}

export type ChainProblem =
  /** Links from `position` to `until` are not there. */
  | { readonly type: 'removed'; readonly position: number; readonly until: number }
  /** What the link says of a file is not what was chained. */
  | { readonly type: 'altered'; readonly position: number; readonly fileId: string }
  /** What stands here was chained as link `belongsAt`. */
  | { readonly type: 'moved'; readonly position: number; readonly fileId: string; readonly belongsAt: number }
  /** The whole chain was computed anew since the anchor was written down, at or before its link. */
  | { readonly type: 'rewritten'; readonly position: number; readonly anchor: Anchor }
  /** The chain ends before the anchor's link. */
  | { readonly type: 'cut off'; readonly position: number; readonly anchor: Anchor };

export interface ChainReport {
  readonly cameraId: string;
  readonly links: number;
  /** First and last link; 0 without any. */
  readonly first: number;
  readonly last: number;
  /** Of the last link. */
  readonly hash: string;
  /** How many anchors fit. */
  readonly anchors: number;
  /** Oldest first; not more than a person can read. */
  readonly problems: readonly ChainProblem[];
}

export interface StoredLink extends Linked {
  readonly position: number;
  readonly hash: Uint8Array;
}

const BATCH = 5000;
/** Each is tried in the place of each other. */
const MAX_MISFITS = 50;

/** Every link of a camera, oldest first, a batch at a time. */
export function* linksOf(store: Store, cameraId: string): Generator<StoredLink> {
  for (let after = 0; ;) {
    const batch = store.all<StoredLink>(
      `SELECT position, kind, file_id AS fileId, start_ms AS startMs, end_ms AS endMs, size_bytes AS sizeBytes,
         sha256, hash
       FROM link WHERE camera = (SELECT no FROM camera WHERE camera_id = ?) AND position > ?
       ORDER BY position LIMIT ?`,
      ...[cameraId, after, BATCH],
    );
    yield* batch;
    if (batch.length < BATCH) return;
    after = batch.at(-1)!.position;
  }
}

interface Misfit {
  readonly link: StoredLink;
  /** The hash before it, as stored. */
  readonly previous: Uint8Array | null;
}

/**
 * Computes a chain anew from its first link to its last, and holds it against what was written down elsewhere.
 * A link fits when its hash follows from what it says and from the hash before it, be that as stored or as it
 * should be: so one wrong row makes one problem. Pure.
 */
export function checkChain(
  cameraId: string,
  links: Iterable<StoredLink>,
  anchors: readonly Anchor[],
): ChainReport {
  const problems: ChainProblem[] = [];
  const misfits: Misfit[] = [];
  const unmatched = new Set(anchors);
  let count = 0;
  let first = 0;
  let last: StoredLink | null = null;
  /** What the hash of `last` should be. */
  let computed: Uint8Array | null = null;
  for (const link of links) {
    const { position, hash } = link;
    const expected: number = (last?.position ?? 0) + 1;
    count += 1;
    first ||= position;
    if (position !== expected) {
      // Behind a hole nothing is known of the hash before.
      problems.push({ type: 'removed', position: expected, until: position - 1 });
      computed = hash;
    } else {
      const byStored: Uint8Array = linkHash(last?.hash ?? null, position, cameraId, link);
      const fits: boolean = same(byStored, hash) || same(linkHash(computed, position, cameraId, link), hash);
      if (!fits && misfits.length < MAX_MISFITS) misfits.push({ link, previous: last?.hash ?? null });
      computed = fits ? hash : byStored;
    }
    for (const anchor of unmatched) {
      if (anchor.position === position && anchor.hash === hexOf(hash)) unmatched.delete(anchor);
    }
    last = link;
  }
  const tail = last?.position ?? 0;
  for (const misfit of misfits) problems.push(...explain(cameraId, misfit, misfits));
  for (const anchor of unmatched) {
    const { position } = anchor;
    problems.push(
      position > tail
        ? { type: 'cut off', position: tail + 1, anchor }
        : { type: 'rewritten', position, anchor },
    );
  }
  return {
    ...{ cameraId, first, links: count, last: tail },
    hash: last ? hexOf(last.hash) : '',
    anchors: anchors.length - unmatched.size,
    problems: problems.toSorted((a, b) => a.position - b.position),
  };
}

/** A link that changed places with another fits there; one whose neighbour did is as it should be. */
function explain(cameraId: string, { link }: Misfit, misfits: readonly Misfit[]): ChainProblem[] {
  const { position, fileId } = link;
  const hashes = misfits.map(({ link }) => link.hash);
  if (hashes.some((previous) => same(linkHash(previous, position, cameraId, link), link.hash))) return [];
  for (const other of misfits) {
    const belongsAt = other.link.position;
    if (belongsAt === position) continue;
    for (const previous of [other.previous, ...hashes]) {
      const hash = linkHash(previous, belongsAt, cameraId, link);
      if (same(hash, other.link.hash) || same(hash, link.hash)) {
        return [{ type: 'moved', position, fileId, belongsAt }];
      }
    }
  }
  return [{ type: 'altered', position, fileId }];
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
