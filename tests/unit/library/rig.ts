/** A library on a directory of its own, and facts as a camera host tells them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ClipReadyFact, EventState, SegmentReadyFact } from '../../../device/contract/facts.ts';
import type { LibraryContext } from '../../../device/library/context.ts';
import { openAsOwner, type Opening } from '../../../device/library/opening.ts';
import type { Clock } from '../../../device/kernel/clock.ts';
import { createLog } from '../../../device/kernel/log.ts';

export const silent = createLog({ name: 'test', level: 'silent' });

/** 2026-03-01, noon. */
export const NOON_MS = Date.UTC(2026, 2, 1, 12);

/** Time moves by hand. */
export class HandClock implements Clock {
  nowMs = NOON_MS;
  utcMs(): number {
    return this.nowMs;
  }
  monotonicMs(): number {
    return this.nowMs;
  }
  async sleep(_ms: number): Promise<void> {}
}

export interface LibraryRig extends AsyncDisposable {
  readonly dataDir: string;
  readonly clock: HandClock;
  readonly context: LibraryContext;
  readonly opening: Opening;
  /** As after a crash of the agent: nothing is said to the index, and another agent opens it. */
  restart(): Promise<void>;
}

/** `existing`: the data directory of somebody else, who removes it. */
export async function libraryRig(existing?: string): Promise<LibraryRig> {
  const dataDir = existing ?? (await mkdtemp(join(tmpdir(), 'spyoncino-library-')));
  const clock = new HandClock();
  const open = () =>
    openAsOwner(
      { dataDir, wish: { pinnedId: null, newId: 'new-disk' }, check: false, run: null },
      { signal: new AbortController().signal, clock, log: silent },
    );
  let opened = await open();
  return {
    dataDir,
    clock,
    get context() {
      return opened.context;
    },
    get opening() {
      return opened.opening;
    },
    async restart() {
      opened.context.store[Symbol.dispose]();
      opened = await open();
    },
    async [Symbol.asyncDispose]() {
      opened.context.store[Symbol.dispose]();
      if (existing === undefined) await rm(dataDir, { recursive: true });
    },
  };
}

export const event = (eventId: string, more: Partial<EventState> = {}): EventState => ({
  eventId,
  cameraId: 'porch',
  trackId: 1,
  label: 'person',
  score: 0.8,
  topScore: 0.9,
  box: [0.1, 0.2, 0.3, 0.4],
  zones: [],
  enteredZones: [],
  stationary: false,
  startUtcMs: NOON_MS,
  lastSeenUtcMs: NOON_MS + 2000,
  endUtcMs: null,
  endReason: null,
  best: { utcMs: NOON_MS + 1000, mediaMs: 1000, box: [0.1, 0.2, 0.3, 0.4], score: 0.9 },
  stillPath: null,
  startMediaMs: 0,
  lastSeenMediaMs: 2000,
  ...more,
});

export const SHA256 = 'ab'.repeat(32);

interface Footage {
  readonly cameraId?: string;
  readonly startUtcMs?: number;
  readonly durationMs?: number;
  readonly sizeBytes?: number;
}

export function segment(segmentId: string, footage: Footage = {}): SegmentReadyFact {
  const { cameraId = 'porch', startUtcMs = NOON_MS, durationMs = 60_000, sizeBytes = 1000 } = footage;
  const path = `media/segments/${cameraId}/${dayOf(startUtcMs)}/${segmentId}.mp4`;
  return {
    type: 'segment.ready',
    segment: { segmentId, cameraId, path, startUtcMs, durationMs, sizeBytes },
    sha256: SHA256,
    coverage: [{ startUtcMs, endUtcMs: startUtcMs + durationMs }],
    recovered: false,
  };
}

/** A file of its own, or (`ranged`) a range over segments. */
export function clip(
  clipId: string,
  eventIds: readonly string[],
  { ranged = false, ...footage }: Footage & { readonly ranged?: boolean } = {},
): ClipReadyFact {
  const { cameraId = 'porch', startUtcMs = NOON_MS, durationMs = 10_000, sizeBytes = 500 } = footage;
  const path = ranged ? null : `media/clips/${cameraId}/${dayOf(startUtcMs)}/${clipId}.mp4`;
  return {
    type: 'clip.ready',
    clip: { clipId, cameraId, eventIds, path, startUtcMs, durationMs, sizeBytes: ranged ? 0 : sizeBytes },
    sha256: ranged ? null : SHA256,
    coverage: [{ startUtcMs, endUtcMs: startUtcMs + durationMs }],
    recovered: false,
  };
}

const dayOf = (utcMs: number): string => new Date(utcMs).toISOString().slice(0, 10);

/** Puts a file where `path` says, with bytes that mean nothing. */
export async function putFile(dataDir: string, path: string): Promise<void> {
  await mkdir(dirname(join(dataDir, path)), { recursive: true });
  await writeFile(join(dataDir, path), 'bytes');
}
