/** What `scripts/release` would make, and that keys given to a build do not outlive it. The builds themselves are the image's test. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);

test('a dry run lists an image for each board, bundles, sources, and what they are checked with', async () => {
  const { stdout } = await run('scripts/release', ['--dry-run', '--version', '1.2.3']);
  const names = stdout.split('\n').map((line) => line.split(':')[0]);
  for (const name of [
    'spyoncino-1.2.3-raspberrypi.img.xz',
    'spyoncino-1.2.3-raspberrypi.img.bmap',
    'spyoncino-1.2.3-raspberrypi.cdx.json',
    'os_list.json',
    'spyoncino-1.2.3.tar.xz',
    'spyoncino-1.2.3-balena.tar.xz',
    'spyoncino-1.2.3.SHA256SUMS.cms',
  ]) {
    expect(names).toContain(name);
  }
  expect(names.filter((name) => name?.includes('qemu'))).toEqual([]);
});

test('a build that fails leaves no keys, not even those of one that was killed', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'spyoncino-keys-'));
  try {
    await mkdir(join(cache, 'keys-given'));
    await writeFile(join(cache, 'keys-given/signer.key'), 'secret');
    // Where a folder should be: no toolbox can be made.
    await writeFile(join(cache, 'apt'), '');
    await expect(
      run(process.execPath, ['os-image/build/main.ts', 'qemu-arm64', '--keys', cache], {
        env: { ...process.env, SPYONCINO_IMAGE_CACHE: cache },
      }),
    ).rejects.toMatchObject({ code: 1 });
    expect(existsSync(join(cache, 'keys-given'))).toBe(false);
  } finally {
    await rm(cache, { recursive: true });
  }
});
