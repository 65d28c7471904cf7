import { copyFile, mkdtemp, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createLoopDisk, requireLoopDisks } from '../harness/loop-disk.ts';

await requireLoopDisks();
const place = await mkdtemp(join(tmpdir(), 'spyoncino-place-'));
afterAll(() => rm(place, { recursive: true, force: true }));

test('fills up, turns read-only under an open file, heals after a remount', async () => {
  await using disk = await createLoopDisk({ mebibytes: 16 });
  await disk.mount(place);
  await using file = await open(join(place, 'a'), 'w');
  await file.write(Buffer.alloc(2 ** 20));
  await file.datasync();
  const free = await disk.freeBytes();
  await expect(writeFile(join(place, 'b'), Buffer.alloc(free + 1))).rejects.toMatchObject({ code: 'ENOSPC' });
  await rm(join(place, 'b'));
  await disk.turnReadOnly();
  await expect(writeFile(join(place, 'c'), 'x')).rejects.toMatchObject({ code: 'EROFS' });
  await disk.unmount();
  expect(await readdir(place)).toEqual([]);
});

test('can be swapped, and copied while it is in use', async () => {
  await using first = await createLoopDisk({ mebibytes: 16 });
  await using second = await createLoopDisk({ mebibytes: 16 });
  await first.mount(place);
  {
    await using file = await open(join(place, 'who'), 'w');
    await file.writeFile('first');
    await file.sync();
  }
  const copy = join(tmpdir(), `spyoncino-copy-${process.pid}.img`);
  await copyFile(first.image, copy);
  await first.unmount();
  await second.mount(place);
  await writeFile(join(place, 'who'), 'second');
  await second.remount('ro');
  await second.unmount();
  await using power = await createLoopDisk({ image: copy });
  try {
    await power.mount(place);
    expect(await readFile(join(place, 'who'), 'utf8')).toBe('first');
    await power.unmount();
  } finally {
    await rm(copy);
  }
});
