import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PowerCuts } from '../crash/power-cut.ts';
import { seededRandom } from '../crash/seeded-random.ts';
import { createRememberingDisk, requireDrives } from '../harness/drive/index.ts';
import { mountCopy } from '../crash/mounted-copy.ts';

await requireDrives();

const FILES = 12;

test('what was synced is there after a power cut at any moment, and only that for sure', async () => {
  await using disk = await createRememberingDisk(16);
  /** Number of log entries at which each file was durable for sure. */
  const durable: number[] = [];
  for (let n = 0; n < FILES; n++) {
    await using file = await open(join(disk.directory, `synced-${n}`), 'w');
    await file.writeFile(Buffer.alloc(10_000, n));
    await file.sync();
    durable.push((await disk.log()).length);
    await using loose = await open(join(disk.directory, `loose-${n}`), 'w');
    await loose.writeFile(Buffer.alloc(10_000, n));
  }
  const log = await disk.log();
  const cuts = new PowerCuts(await disk.blank(), log);
  const random = seededRandom(1);
  let [kept, lost] = [0, 0];
  for (let at = 0; at < log.length; at += 7) {
    await using copy = await mountCopy(cuts.cut(at, at % 2 ? 'with cache' : 'without cache', random));
    const names = await readdir(copy.directory);
    for (const [n, since] of durable.entries()) {
      if (since > at) continue;
      expect(names).toContain(`synced-${n}`);
      expect(await readFile(join(copy.directory, `synced-${n}`))).toEqual(Buffer.alloc(10_000, n));
      if (names.includes(`loose-${n}`)) kept++;
      else lost++;
    }
  }
  expect(lost).toBeGreaterThan(0);
  expect(kept).toBeGreaterThan(0);
});
