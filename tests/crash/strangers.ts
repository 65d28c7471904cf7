import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Files that are none of the product's, in places where it looks. */
export const STRANGERS: ReadonlyMap<string, Buffer> = new Map([
  ['media/clips/porch/2026-11-23/holiday.mp4', Buffer.from('not a film')],
  ['media/segments/porch/2026-11-23/20261123T101530.123Z-0-1.mp4', Buffer.from('a name like ours')],
  ['media/segments/notes.txt', Buffer.from('whose are these?')],
  ['media/somebody/else/diary.txt', Buffer.from('dear diary')],
]);

export async function plantStrangers(dataDir: string): Promise<void> {
  for (const [name, bytes] of STRANGERS) {
    const path = join(dataDir, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes, { flush: true });
  }
}

export async function strangersTouched(dataDir: string): Promise<string[]> {
  const touched: string[] = [];
  for (const [name, bytes] of STRANGERS) {
    const kept = await readFile(join(dataDir, name)).catch(() => null);
    if (!kept?.equals(bytes)) touched.push(`${name} is not ours and was touched`);
  }
  return touched;
}
