/** What of which file shows a stretch of time. Pure; times are UTC ms. */

export interface Span {
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  /**
   * When its key frames are shown; ascending. Pictures that are decoded after the first and shown before it
   * need what the file before ends with.
   */
  readonly keysUtcMs: readonly number[];
}

/** From a key frame of `source` on. */
export interface Piece<T extends Span> {
  readonly source: T;
  /** Number of the key frame. */
  readonly key: number;
  readonly fromUtcMs: number;
  /** What is shown at or after this is of the next piece, or behind the range. */
  readonly untilUtcMs: number;
}

type Start<T extends Span> = Omit<Piece<T>, 'untilUtcMs'>;

/**
 * The pieces that show `fromUtcMs..toUtcMs`, in order, disjoint. Where files overlap, the one that goes on
 * longest is taken, from its last key frame before the other ends, so that nothing is shown twice or missing.
 */
export function planPieces<T extends Span>(
  sources: readonly T[],
  fromUtcMs: number,
  toUtcMs: number,
): readonly Piece<T>[] {
  const starts: Start<T>[] = [];
  for (let atUtcMs = fromUtcMs; atUtcMs < toUtcMs;) {
    const start = startAt(sources, atUtcMs);
    if (!start || start.fromUtcMs >= toUtcMs) break;
    if (starts.length === 0 && start.source.keysUtcMs[start.key]! > fromUtcMs) {
      const before = startAt(sources, start.fromUtcMs - MAX_SEAM_MS);
      if (before && before.fromUtcMs < start.fromUtcMs) starts.push(before);
    }
    starts.push(start);
    atUtcMs = start.source.endUtcMs;
  }
  return starts.map(({ source, key, fromUtcMs }, i) => {
    const untilUtcMs = Math.min(toUtcMs, starts[i + 1]?.fromUtcMs ?? Infinity);
    return { source, key, fromUtcMs, untilUtcMs };
  });
}

/** Files that are further apart do not continue each other. */
const MAX_SEAM_MS = 1;

/** Where showing `utcMs` has to begin; where nothing shows it, what comes next. */
function startAt<T extends Span>(sources: readonly T[], utcMs: number): Start<T> | null {
  let showing: T | null = null;
  let next: T | null = null;
  for (const source of sources) {
    if (source.endUtcMs <= utcMs || source.keysUtcMs.length === 0) continue;
    if (source.startUtcMs <= utcMs) {
      if (!showing || source.endUtcMs > showing.endUtcMs) showing = source;
    } else if (!next || source.startUtcMs < next.startUtcMs || startsWith(next, source)) next = source;
  }
  const source = showing ?? next;
  if (!source) return null;
  const key = source.keysUtcMs.findLastIndex((keyUtcMs) => keyUtcMs <= utcMs);
  return key > 0
    ? { source, key, fromUtcMs: source.keysUtcMs[key]! }
    : { source, key: 0, fromUtcMs: source.startUtcMs };
}

/** Both begin together, `longer` goes on longer. */
const startsWith = (shorter: Span, longer: Span): boolean =>
  longer.startUtcMs === shorter.startUtcMs && longer.endUtcMs > shorter.endUtcMs;
