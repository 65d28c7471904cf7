import { fork } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import type { ClipReadyFact } from '../../device/contract/facts.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { recoverFootage } from '../../device/record/index.ts';
import { decode } from '../integration/record-encoded.ts';
import { MEDIA_ID, mountMedia } from '../harness/media.ts';
import { seededRandom } from './seeded-random.ts';

export interface CrashResult {
  readonly killedAfterMs: number;
  /** What FFmpeg has to say about the recovered file. */
  readonly complaints: string;
  /** Received, and not in the file. */
  readonly lostMs: number;
  readonly recovered: ClipReadyFact;
  readonly filesBefore: number;
  readonly filesAfter: number;
}

/** Endless numbers in [0, 1). */
export function* randomNumbers(seed: number): Generator<number, never> {
  const random = seededRandom(seed);
  for (;;) yield random();
}

type Message = { readonly receivedUtcMs: number } | { readonly fact: string };

/** One camera with capture and recorder, killed 0 to 4 s after its first clip has begun to grow. */
export async function crashOnce(moment: number, run: string): Promise<CrashResult> {
  const dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-kill-'));
  await mountMedia(dataDir);
  const killedAfterMs = Math.round(moment * 4000);
  const child = fork(fileURLToPath(new URL('recording-child.ts', import.meta.url)), [dataDir, run]);
  try {
    let receivedUtcMs = 0;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const growing = new Promise<void>((resolve) => {
      child.on('message', (message: Message) => {
        if ('receivedUtcMs' in message) receivedUtcMs = Math.max(receivedUtcMs, message.receivedUtcMs);
        else if (message.fact === 'clip.partial') resolve();
      });
    });
    await Promise.race([growing, exited]);
    setTimeout(() => child.kill('SIGKILL'), killedAfterMs);
    await exited;
    return await examine(dataDir, killedAfterMs, receivedUtcMs);
  } finally {
    child.kill('SIGKILL');
    await rm(dataDir, { recursive: true });
  }
}

async function examine(dataDir: string, killedAfterMs: number, receivedUtcMs: number): Promise<CrashResult> {
  const countFiles = async (): Promise<number> =>
    (await readdir(dataDir, { recursive: true })).filter((name) => name.includes('.mp4')).length;
  const filesBefore = await countFiles();
  const facts: ClipReadyFact[] = [];
  await recoverFootage(
    {
      cameraId: 'crash',
      dataDir,
      mediaId: MEDIA_ID,
      run: 'after',
      clock: systemClock,
      log: pino({ level: 'silent' }),
      emit: (fact) => fact.type === 'clip.ready' && facts.push(fact),
    },
    new AbortController().signal,
  );
  const [recovered] = facts;
  if (!recovered?.clip.path) throw new Error('there was no clip to recover');
  const { complaints } = await decode(join(dataDir, recovered.clip.path));
  const heldUtcMs = recovered.coverage.at(-1)?.endUtcMs ?? 0;
  return {
    killedAfterMs,
    complaints,
    lostMs: Math.max(0, receivedUtcMs - heldUtcMs),
    recovered,
    filesBefore,
    filesAfter: await countFiles(),
  };
}
