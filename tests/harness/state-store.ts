import type { StateStore } from '../../device/contract/state-store.ts';
import { readState, writeState } from '../../device/library/state.ts';
import { Store } from '../../device/library/store.ts';

/** The real tables of an index in `dataDir`, without the thread around them. */
export async function openStateStore(dataDir: string): Promise<StateStore & Disposable> {
  const store = await Store.open({ dataDir, as: 'owner' });
  return {
    read: async (name) => readState({ store }, { name }),
    write: async (change) => writeState({ store }, change),
    [Symbol.dispose]: () => store[Symbol.dispose](),
  };
}
