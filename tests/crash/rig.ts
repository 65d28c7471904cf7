import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { encode } from '../integration/record-encoded.ts';
import { memoryFolder } from '../harness/memory-folder.ts';
import { Judge } from './judge.ts';
import type { RigCamera } from './plan.ts';

export const FPS = 30;
/** Of every mode; small pictures, since FFmpeg has to play all of them. */
const VIDEO = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '45', '-bf', '2', '-b_strategy', '0'];

export interface Rig extends AsyncDisposable {
  /** For whatever a round needs. */
  readonly folder: string;
  readonly streamFile: string;
  readonly judge: Judge;
}

/** `kept`: a folder that stays, with what failed rounds left behind. */
export async function startRig(kept?: string): Promise<Rig> {
  const folder = kept ?? (await mkdtemp(join(memoryFolder(), 'spyoncino-crash-')));
  const streamFile = join(folder, 'stream.bin');
  const stream = await encode({
    ...{ video: VIDEO, audio: ['-c:a', 'aac'], seconds: 6, fps: FPS, size: '160x120' },
  });
  await writeFile(streamFile, serialize(stream));
  await mkdir(join(folder, 'rounds'), { recursive: true });
  return {
    folder,
    streamFile,
    judge: new Judge(),
    async [Symbol.asyncDispose]() {
      if (kept === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

export const CAMERAS: readonly RigCamera[] = [
  { cameraId: 'porch', mode: 'events' },
  { cameraId: 'street', mode: 'continuous' },
  { cameraId: 'garden', mode: 'motion' },
];
