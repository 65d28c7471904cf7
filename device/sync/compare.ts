import type { RemoteEntry } from '../contract/sync.ts';
import { manifestDayOf, manifestKey } from './plan.ts';
import type { Ledger } from './port.ts';
import type { Listed } from './remote.ts';

/** Both directions: what the ledger has and the bucket has not, and the other way round. */
export interface Difference {
  /** Keys; of what is there in another size, too. */
  readonly missing: readonly string[];
  readonly orphaned: readonly string[];
  /** Objects that should be there, and objects that are. */
  readonly totalLocal: number;
  readonly totalRemote: number;
  /** Of the missing ones: those that are sent again. */
  readonly queuedAgain: number;
  /** Multipart uploads that the ledger goes on with. */
  readonly uploadIds: ReadonlySet<string>;
}

export interface CompareOptions {
  readonly ledger: Pick<Ledger, 'entries' | 'missing' | 'manifestDays' | 'manifestWritten'>;
  /** Pages, by key. */
  readonly list: AsyncIterable<readonly Listed[]>;
  readonly startedUtcMs: number;
}

const PAGE = 1000;

/**
 * Compares a real listing of the bucket with the ledger, page by page, while uploads go on. What is missing is told
 * to the ledger, so that it is sent again.
 */
export async function compare({ ledger, list, startedUtcMs }: CompareOptions): Promise<Difference> {
  const entries = new Cursor(ledger);
  const missing: RemoteEntry[] = [];
  const orphaned: string[] = [];
  const manifests = new Set<string>();
  let [totalLocal, totalRemote] = [0, 0];

  const uploadIds = new Set<string>();
  const expect = (entry: RemoteEntry, listed: Listed | null): void => {
    if (entry.uploadId !== null) uploadIds.add(entry.uploadId);
    if (entry.verifiedUtcMs === null) return;
    // What was verified only after the listing began may not be in it.
    if (!listed && entry.verifiedUtcMs >= startedUtcMs) return;
    totalLocal++;
    const isSettled = entry.state === 'verified' || entry.state === 'expired';
    if (!listed || (isSettled && listed.sizeBytes !== entry.sizeBytes)) missing.push(entry);
  };

  for await (const page of list) {
    for (const listed of page) {
      totalRemote++;
      if (manifestDayOf(listed.key)) {
        manifests.add(listed.key);
        continue;
      }
      for (let next = await entries.peek(); next && next.key < listed.key; next = await entries.peek()) {
        expect(next, null);
        entries.pass();
      }
      const same = await entries.peek();
      if (same?.key === listed.key) {
        expect(same, listed);
        entries.pass();
      } else orphaned.push(listed.key);
    }
  }
  for (let next = await entries.peek(); next; next = await entries.peek()) {
    expect(next, null);
    entries.pass();
  }

  const missingManifests: string[] = [];
  for (const day of await ledger.manifestDays(null)) {
    const key = manifestKey(day);
    if (!manifests.delete(key) && day.written > 0) {
      missingManifests.push(key);
      await ledger.manifestWritten({ ...day, written: 0 });
    }
    if (day.written > 0) totalLocal++;
  }
  const queuedAgain = missing.length === 0 ? 0 : await ledger.missing(missing.map(({ no }) => no));
  return {
    missing: [...missing.map(({ key }) => key), ...missingManifests],
    orphaned: [...orphaned, ...manifests],
    ...{ totalLocal, totalRemote },
    queuedAgain: queuedAgain + missingManifests.length,
    uploadIds,
  };
}

/** The ledger by key, a page in memory. */
class Cursor {
  readonly #ledger: Pick<Ledger, 'entries'>;
  #page: readonly RemoteEntry[] = [];
  #at = 0;
  #isLast = false;

  constructor(ledger: Pick<Ledger, 'entries'>) {
    this.#ledger = ledger;
  }

  async peek(): Promise<RemoteEntry | null> {
    if (this.#at >= this.#page.length && !this.#isLast) {
      this.#page = await this.#ledger.entries({ after: this.#page.at(-1)?.key ?? '', limit: PAGE });
      this.#isLast = this.#page.length < PAGE;
      this.#at = 0;
    }
    return this.#page[this.#at] ?? null;
  }

  pass(): void {
    this.#at++;
  }
}
