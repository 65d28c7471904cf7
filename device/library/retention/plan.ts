import type { FootageClass, RetentionLimits } from '../../contract/settings.ts';

/**
 * What is to be deleted, decided without touching anything. Protected footage and footage that has only just
 * been recorded are no candidates at all: they never get here.
 */

/** How little a file is missed, the least missed first: a copy is elsewhere; nobody waits for it; an upload does. */
export const STANDINGS = ['uploaded', 'idle', 'queued'] as const;
export type Standing = (typeof STANDINGS)[number];

/** One file that may go. */
export interface Candidate {
  readonly fileId: string;
  readonly startUtcMs: number;
  readonly sizeBytes: number;
}

/** All that is kept of one camera in one class. */
export interface Shelf {
  readonly cameraId: string;
  readonly footageClass: FootageClass;
  readonly sizeBytes: number;
  /** The first `count` candidates, by age; of a standing only asked where something of it has to go. */
  oldest(which: Standing | 'any', count: number): readonly Candidate[];
}

export interface RetentionPolicy {
  readonly headroomBytes: number;
  /** For all cameras together. */
  readonly limits: Readonly<Record<FootageClass, RetentionLimits>>;
  /** By camera; one that is no longer configured has none of its own. */
  readonly cameraLimits: ReadonlyMap<string, Readonly<Record<FootageClass, RetentionLimits>>>;
}

export interface RetentionFacts {
  readonly nowUtcMs: number;
  readonly freeBytes: number;
  readonly shelves: readonly Shelf[];
}

/** Too old; more than its share; in the way of the headroom. */
export type DeletionReason = 'age' | 'quota' | 'headroom';

export interface Deletion {
  readonly fileId: string;
  readonly sizeBytes: number;
  readonly footageClass: FootageClass;
  readonly reason: DeletionReason;
}

export interface RetentionPlan {
  /** In the order in which they are to go. */
  readonly deletions: readonly Deletion[];
  /** False when the batch is full: execute it, then plan again. */
  readonly isComplete: boolean;
  /** What the headroom lacks when all of this is done and nothing more may go; 0 when it is kept. */
  readonly shortBytes: number;
}

/** At most `batch` deletions; the same facts give the same plan. */
export function planRetention(
  { nowUtcMs, freeBytes, shelves }: RetentionFacts,
  { headroomBytes, limits, cameraLimits }: RetentionPolicy,
  batch: number,
): RetentionPlan {
  const deletions: Deletion[] = [];
  const stacks = shelves.map((shelf) => new Stack(shelf, batch));
  let free = freeBytes;

  /** Takes the oldest of the first group that has any, and so on, as long as something has to go. */
  const take = (
    reason: DeletionReason,
    groups: readonly Pile[][],
    isNeeded: () => boolean,
    mayGo: (next: Candidate) => boolean = () => true,
  ): void => {
    for (const group of groups) {
      while (deletions.length < batch && isNeeded()) {
        const pile = oldestOf(group);
        if (!pile?.top || !mayGo(pile.top)) break;
        const { fileId, sizeBytes } = pile.take();
        free += sizeBytes;
        deletions.push({ fileId, sizeBytes, footageClass: pile.stack.shelf.footageClass, reason });
      }
    }
  };
  const piles = (chosen: readonly Stack[], which: Standing | 'any') =>
    chosen.map((stack) => stack.piles[which]);
  const byStanding = (chosen: readonly Stack[]) => STANDINGS.map((standing) => piles(chosen, standing));

  for (const stack of stacks) {
    const { cameraId, footageClass } = stack.shelf;
    const own = cameraLimits.get(cameraId)?.[footageClass];
    const maxAgeMs = Math.min(limits[footageClass].maxAgeMs ?? Infinity, own?.maxAgeMs ?? Infinity);
    const maxBytes = own?.maxBytes ?? Infinity;
    if (maxAgeMs < Infinity) {
      const isOld = ({ startUtcMs }: Candidate): boolean => startUtcMs < nowUtcMs - maxAgeMs;
      take('age', [piles([stack], 'any')], () => true, isOld);
    }
    take('quota', byStanding([stack]), () => stack.sizeBytes > maxBytes);
  }

  const ofClass = (footageClass: FootageClass) =>
    stacks.filter(({ shelf }) => shelf.footageClass === footageClass);
  const continuous = ofClass('continuous');
  const event = ofClass('event');
  for (const [footageClass, chosen] of [
    ['continuous', continuous],
    ['event', event],
  ] as const) {
    const maxBytes = limits[footageClass].maxBytes ?? Infinity;
    const isOver = () => chosen.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) > maxBytes;
    take('quota', byStanding(chosen), isOver);
  }

  const groups = [
    piles(stacks, 'uploaded'),
    piles(continuous, 'idle'),
    piles(event, 'idle'),
    piles(continuous, 'queued'),
    piles(event, 'queued'),
  ];
  take('headroom', groups, () => free < headroomBytes);

  const isComplete = deletions.length < batch;
  return { deletions, isComplete, shortBytes: isComplete ? Math.max(0, headroomBytes - free) : 0 };
}

/** A shelf while files are taken from it. */
class Stack {
  readonly shelf: Shelf;
  readonly piles: Readonly<Record<Standing | 'any', Pile>>;
  readonly taken = new Set<string>();
  sizeBytes: number;

  constructor(shelf: Shelf, batch: number) {
    this.shelf = shelf;
    this.sizeBytes = shelf.sizeBytes;
    const pile = (which: Standing | 'any') => new Pile(this, () => shelf.oldest(which, batch));
    this.piles = { any: pile('any'), uploaded: pile('uploaded'), idle: pile('idle'), queued: pile('queued') };
  }
}

/**
 * Candidates of a shelf, the oldest on top. No more than a whole batch is taken, so the page that was loaded does
 * not end before the batch does.
 */
class Pile {
  readonly stack: Stack;
  readonly #load: () => readonly Candidate[];
  #page: readonly Candidate[] | null = null;
  #next = 0;

  constructor(stack: Stack, load: () => readonly Candidate[]) {
    this.stack = stack;
    this.#load = load;
  }

  get top(): Candidate | undefined {
    this.#page ??= this.#load();
    // What went from another pile of the shelf meanwhile is not here any more.
    while (this.stack.taken.has(this.#page[this.#next]?.fileId ?? '')) this.#next += 1;
    return this.#page[this.#next];
  }

  take(): Candidate {
    const top = this.top!;
    this.stack.taken.add(top.fileId);
    this.stack.sizeBytes -= top.sizeBytes;
    return top;
  }
}

function oldestOf(piles: readonly Pile[]): Pile | undefined {
  let oldest: Pile | undefined;
  for (const pile of piles) {
    if (pile.top && (!oldest?.top || pile.top.startUtcMs < oldest.top.startUtcMs)) oldest = pile;
  }
  return oldest;
}
