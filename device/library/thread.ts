/** Entry of the worker thread that holds the index: one question after the other, answered by number. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ErrorReport } from '../contract/errors.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog } from '../kernel/log.ts';
import { claimDataDir } from './claim.ts';
import type { LibraryContext } from './context.ts';
import { endRun, openAsOwner, type Opening, type OpeningOptions } from './opening.ts';
import { OPERATIONS, type OperationName } from './operations.ts';
import { codedSqlError } from './store.ts';

export interface ThreadStart extends OpeningOptions {
  readonly logLevel: string;
}

export type ThreadRequest =
  | { readonly id: number; readonly operation: OperationName; readonly argument: unknown }
  | { readonly type: 'close' };

export type ThreadMessage =
  | { readonly type: 'open'; readonly opening: Opening }
  | { readonly type: 'failed'; readonly reason: ErrorReport }
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'error'; readonly id: number; readonly reason: ErrorReport };

const { logLevel, ...options } = workerData as ThreadStart;
const log = createLog({ name: 'library', level: logLevel });
const stopping = new AbortController();
const post = (message: ThreadMessage): void => parentPort?.postMessage(message);

function serve(context: LibraryContext, claim: Disposable): void {
  const running = new Set<Promise<void>>();
  const answer = async (id: number, operation: OperationName, argument: unknown): Promise<void> => {
    try {
      const run = OPERATIONS[operation] as (context: LibraryContext, argument: unknown) => unknown;
      post({ type: 'answer', id, answer: await run(context, argument) });
    } catch (error) {
      const coded = codedSqlError(error);
      log.debug({ err: coded, operation }, 'the library could not do what was asked');
      post({ type: 'error', id, reason: coded.report() });
      // A damaged index answers nothing any more; the next thread looks at every page of it.
      if (coded.code === 'INDEX_UNUSABLE') process.exit(1);
    }
  };
  parentPort?.on('message', (request: ThreadRequest) => {
    if ('type' in request) {
      stopping.abort();
      void Promise.all(running).then(() => {
        endRun(context);
        context.store[Symbol.dispose]();
        claim[Symbol.dispose]();
        parentPort?.close();
      });
      return;
    }
    const work = answer(request.id, request.operation, request.argument);
    running.add(work);
    void work.finally(() => running.delete(work));
  });
}

try {
  const claim = await claimDataDir(options.dataDir);
  const { context, opening } = await openAsOwner(options, {
    signal: stopping.signal,
    clock: systemClock,
    log,
  });
  serve(context, claim);
  post({ type: 'open', opening });
} catch (error) {
  post({ type: 'failed', reason: codedSqlError(error).report() });
}
