import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { EventState } from '../contract/facts.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { classify } from './commit.ts';
import type { LibraryContext } from './context.ts';
import { findMedia, type MediaWish } from './media.ts';
import { enqueue } from './outbox.ts';
import { onReserve } from './retention/reserve.ts';
import { setIndexAside, Store } from './store.ts';

export interface OpeningOptions {
  readonly dataDir: string;
  /** Which disk footage may be on. */
  readonly wish: MediaWish;
  /** Something was wrong with the index before. */
  readonly check: boolean;
  /** Of this agent, when it has opened the index before. */
  readonly run: number | null;
}

export interface Opening {
  readonly run: number;
  readonly mediaId: string;
  /** Why nothing can be recorded to the disk that is mounted. */
  readonly mediaTrouble: ErrorReport | null;
  /** Why the index was set aside and begun anew; null when it was not. */
  readonly remade: ErrorReport | null;
}

type Around = Pick<LibraryContext, 'signal' | 'clock' | 'log'>;

interface Opened {
  readonly context: LibraryContext;
  readonly opening: Opening;
}

/** Opens the index for the agent; on a disk that is full to the last byte on its reserve, so that it can make room. */
export async function openAsOwner(options: OpeningOptions, around: Around): Promise<Opened> {
  return await onReserve(options.dataDir, around.log, () => openOnce(options, around));
}

async function openOnce({ dataDir, wish, check, run }: OpeningOptions, around: Around): Promise<Opened> {
  const { signal, clock, log } = around;
  const { store, remade } = await openOrRemake(dataDir, check, clock, log);
  try {
    const { mediaId, media, problem } = await findMedia({ store, dataDir, clock }, wish);
    const nowMs = Math.round(clock.utcMs());
    // An index that was made anew knows nothing of the run that goes on.
    const goesOn = run !== null && remade === null;
    return store.transaction(() => {
      if (!goesOn) endInterrupted(store, nowMs, log);
      return {
        context: { store, dataDir, mediaId, media, signal, clock, log },
        opening: { run: goesOn ? run : beginRun(store, nowMs), mediaId, mediaTrouble: problem, remade },
      };
    });
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}

const beginRun = (store: Store, nowMs: number): number =>
  store.get<{ no: number }>('INSERT INTO run (started_ms, alive_ms) VALUES (?1, ?1) RETURNING no', nowMs)!.no;

/** Says in the index that the agent was there until now. */
export function endRun({ store, clock }: LibraryContext): void {
  store.run(
    'UPDATE run SET alive_ms = max(alive_ms, ?), ended = 1 WHERE no = (SELECT max(no) FROM run)',
    Math.round(clock.utcMs()),
  );
}

async function openOrRemake(
  dataDir: string,
  check: boolean,
  clock: Clock,
  log: Log,
): Promise<{ store: Store; remade: ErrorReport | null }> {
  try {
    return { store: await Store.open({ dataDir, as: 'owner', check }), remade: null };
  } catch (error) {
    if (!(error instanceof CodedError && error.code === 'INDEX_UNUSABLE')) throw error;
    const aside = await setIndexAside(dataDir, clock.utcMs());
    log.error(
      { err: error, aside },
      'the index of the footage was set aside; it is made anew from the footage',
    );
    return { store: await Store.open({ dataDir, as: 'owner' }), remade: error.report() };
  }
}

/** What an agent that died left open ends when it was last alive: outages, and events with the last sighting. */
function endInterrupted(store: Store, nowMs: number, log: Log): void {
  const last = store.get<{ alive_ms: number }>('SELECT alive_ms FROM run ORDER BY no DESC LIMIT 1');
  store.run('UPDATE gap SET end_ms = max(start_ms, ?) WHERE end_ms IS NULL', last?.alive_ms ?? nowMs);
  const open = store.all<{ no: number; camera: number; state: string }>(
    'SELECT no, camera, state FROM event WHERE end_ms IS NULL',
  );
  for (const { no, camera, state } of open) {
    const event = JSON.parse(state) as EventState;
    const endUtcMs = Math.max(event.startUtcMs, event.lastSeenUtcMs);
    const endMs = Math.round(endUtcMs);
    const ended: EventState = { ...event, endUtcMs, endReason: 'interrupted' };
    store.run('UPDATE event SET end_ms = ?, state = ? WHERE no = ?', endMs, JSON.stringify(ended), no);
    classify(store, camera, Math.round(event.startUtcMs), endMs);
    enqueue(store, 'event.end', event.eventId, nowMs);
    log.info({ event: event.eventId }, 'an event was interrupted by the end of the agent');
  }
}
