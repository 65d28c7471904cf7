import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { packageVersion, parse, type Verb } from './verb.ts';

const buildInfo = z.object({
  version: z.string(),
  commit: z.string().nullable(),
  builtAt: z.string().nullable(),
});

export type BuildInfo = z.infer<typeof buildInfo>;

/** Written by the build; a tree that was never built still knows its version. */
export async function readBuildInfo(): Promise<BuildInfo> {
  const read = async (path: string): Promise<unknown> =>
    JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8'));
  try {
    return buildInfo.parse(await read('../build.json'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return { version: packageVersion(), commit: null, builtAt: null };
  }
}

export const verb: Verb = {
  help: `usage: spyoncino version [--json]      (also: spyoncino --version)`,
  async run(argv) {
    const { values } = parse(argv, { json: { type: 'boolean' } });
    const { version, commit, builtAt } = await readBuildInfo();
    // Here, because the agent reads its build info too, and never loads the media library.
    const { mediaVersions } = await import('../capture/index.ts');
    const { detectVersions } = await import('../detect/index.ts');
    const facts = {
      spyoncino: version,
      commit: commit ?? 'unknown',
      built: builtAt ?? 'not built',
      node: process.versions.node,
      ffmpeg: mediaVersions().ffmpeg,
      tfjs: detectVersions().tfjs,
    };
    if (values.json) process.stdout.write(`${JSON.stringify(facts)}\n`);
    else
      for (const [key, value] of Object.entries(facts)) process.stdout.write(`${key.padEnd(10)} ${value}\n`);
    return 0;
  },
};
