import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { encode } from '../integration/record-encoded.ts';
import { requirePackages } from '../harness/packages.ts';
import { crashRound, FPS, type RoundResult } from './round.ts';

requirePackages(['ffmpeg']);

export interface CrashRig extends AsyncDisposable {
  /** Each round has a folder of its own, and `seed` decides all that is random in it. */
  round(seed: number): Promise<RoundResult>;
}

const VIDEO = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '45', '-bf', '2', '-b_strategy', '0'];

/** `folder` is kept when given, and the temporary one is not. */
export async function startCrashRig(folder?: string): Promise<CrashRig> {
  const base = folder ?? (await mkdtemp(join(tmpdir(), 'spyoncino-crash-')));
  await mkdir(base, { recursive: true });
  const streamFile = join(base, 'stream.bin');
  const stream = await encode({ video: VIDEO, audio: ['-c:a', 'aac'], seconds: 6, fps: FPS });
  await writeFile(streamFile, serialize(stream));
  return {
    async round(seed) {
      const dataDir = join(base, `round-${seed}`);
      const result = await crashRound({
        seed,
        run: seed,
        dataDir,
        streamFile,
        cameraIds: ['north', 'east', 'south', 'west'],
      });
      await rm(dataDir, { recursive: true, force: true });
      return result;
    },
    async [Symbol.asyncDispose]() {
      if (folder === undefined) await rm(base, { recursive: true });
    },
  };
}
