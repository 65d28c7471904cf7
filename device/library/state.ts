import type { StateChange } from '../contract/state-store.ts';
import type { LibraryContext } from './context.ts';

export const readState = (
  { store }: Pick<LibraryContext, 'store'>,
  { name }: { name: string },
): readonly (readonly [string, string])[] =>
  store
    .all<{ key: string; value: string }>('SELECT key, value FROM state WHERE name = ? ORDER BY no', name)
    .map(({ key, value }) => [key, value] as const);

export function writeState({ store }: Pick<LibraryContext, 'store'>, change: StateChange): void {
  const { name, entries, isAll } = change;
  store.transaction(() => {
    if (isAll) store.run('DELETE FROM state WHERE name = ?', name);
    for (const [key, json] of entries) {
      if (json === null) store.run('DELETE FROM state WHERE name = ? AND key = ?', name, key);
      else {
        store.run(
          `INSERT INTO state (name, key, value) VALUES (?, ?, ?)
           ON CONFLICT (name, key) DO UPDATE SET value = excluded.value`,
          ...[name, key, json],
        );
      }
    }
  });
}
