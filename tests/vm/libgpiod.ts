/** The tools of libgpiod as Debian 13 ships them, whichever Debian this machine is. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Suite } from './suite.ts';

const RELEASE = 'trixie';
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';

/** Resolves to a folder in which they can be run: each brings its own C library along. */
export async function fetchLibgpiod(suite: Suite, cacheDir: string): Promise<string> {
  const files = join(cacheDir, `libgpiod-${RELEASE}`);
  await suite.unpack(['gpiod', 'libgpiod3', 'libc6'], RELEASE, files);
  const bin = join(files, 'bin');
  await mkdir(bin, { recursive: true });
  for (const tool of ['gpioset', 'gpiomon', 'gpioinfo']) {
    const libraries = join(files, LIBRARIES);
    const text = `#!/bin/sh
exec '${libraries}/ld-linux-x86-64.so.2' --library-path '${libraries}' '${files}/usr/bin/${tool}' "$@"
`;
    await writeFile(join(bin, `.${tool}`), text, { mode: 0o755 });
    await rename(join(bin, `.${tool}`), join(bin, tool));
  }
  return bin;
}
