import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import type { ClipReadyFact } from '../../device/contract/facts.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { recoverFootage } from '../../device/record/index.ts';
import { decode } from '../integration/record-encoded.ts';
import { MEDIA_ID, mountMedia } from '../harness/media.ts';
import { seededRandom } from './seeded-random.ts';
import { RECORDING, type ChildPlan, type Report } from './plan.ts';

export interface RoundResult {
  readonly killedAfterMs: number;
  /** Clips by how they were completed. */
  readonly finished: number;
  readonly recovered: number;
  /** Per camera: received footage of its events that no file holds. */
  readonly missingMs: readonly number[];
}

/** Footage of an event is due this long after the recorder was told of it. */
const DUE_MS = 1000;

/**
 * Records, kills the recorder at a random moment, recovers, and looks at everything: every file decodes to
 * its end, every byte that was there is there, and what was received is in a file. Throws where not.
 */
export async function crashRound(plan: ChildPlan): Promise<RoundResult> {
  const random = seededRandom(plan.seed ^ 0x5bd1e995);
  const killedAfterMs = 300 + random() * 5000;
  await mountMedia(plan.dataDir);
  const reports = await recordUntilKilled(plan, killedAfterMs);
  const before = await filesBelow(plan.dataDir);
  const ready: ClipReadyFact[] = reports.flatMap((line) =>
    line.type === 'clip.ready' ? [line.fact as ClipReadyFact] : [],
  );
  const recovered: ClipReadyFact[] = [];
  for (const cameraId of plan.cameraIds) {
    await recoverFootage(
      {
        cameraId,
        dataDir: plan.dataDir,
        mediaId: MEDIA_ID,
        run: 'after',
        clock: systemClock,
        log: pino({ level: 'silent' }),
        emit: (fact) => fact.type === 'clip.ready' && recovered.push(fact),
      },
      new AbortController().signal,
    );
  }
  await expectNothingDeleted(plan.dataDir, before);
  const clips = [...ready, ...recovered];
  for (const clip of clips) await expectPlays(plan.dataDir, clip);
  const missing = plan.cameraIds.map((cameraId) =>
    missingMs(
      reports.filter((line) => line.cameraId === cameraId),
      clips.filter(({ clip }) => clip.cameraId === cameraId),
    ),
  );
  return { killedAfterMs, finished: ready.length, recovered: recovered.length, missingMs: missing };
}

async function recordUntilKilled(plan: ChildPlan, afterMs: number): Promise<readonly Report[]> {
  const entry = fileURLToPath(new URL('child.ts', import.meta.url));
  const child: ChildProcess = fork(entry, [JSON.stringify(plan)], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  try {
    const output = text(child.stdout!);
    const exited = once(child, 'exit');
    await once(child.stdout!, 'data');
    await delay(afterMs);
    child.kill('SIGKILL');
    await exited;
    const lines = (await output).split('\n');
    // The last line may be torn.
    return lines.slice(0, -1).map((line) => JSON.parse(line) as Report);
  } finally {
    child.kill('SIGKILL');
  }
}

async function filesBelow(dataDir: string): Promise<ReadonlyMap<string, number>> {
  const names = await readdir(join(dataDir, 'media'), { recursive: true, withFileTypes: true }).catch(
    () => [],
  );
  const files = new Map<string, number>();
  for (const entry of names) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path, (await stat(path)).size);
  }
  return files;
}

async function expectNothingDeleted(dataDir: string, before: ReadonlyMap<string, number>): Promise<void> {
  const after = await filesBelow(dataDir);
  for (const path of after.keys()) {
    if (path.endsWith('.part.mp4')) throw new Error(`${path} was not completed`);
  }
  for (const path of before.keys()) {
    const names = [path, path.replace('.part.mp4', '.mp4'), `${path}.broken`];
    if (!names.some((name) => after.has(name))) throw new Error(`${path} is gone`);
  }
}

async function expectPlays(dataDir: string, { clip, coverage }: ClipReadyFact): Promise<void> {
  if (clip.path === null) throw new Error(`${clip.clipId} has no file`);
  const { complaints, pictures } = await decode(join(dataDir, clip.path));
  if (complaints) throw new Error(`${clip.path} does not play: ${complaints}`);
  const coveredMs = coverage.reduce((sum, { startUtcMs, endUtcMs }) => sum + endUtcMs - startUtcMs, 0);
  const expected = (coveredMs / 1000) * FPS;
  if (Math.abs(pictures.length - expected) > MAX_UNDECIDED) {
    throw new Error(`${clip.path} plays ${pictures.length} pictures, but says ${expected}`);
  }
}

export const FPS = 30;
/** Pictures that were to be shown before the last one, but decoded after it: two B-frames, and rounding. */
const MAX_UNDECIDED = 3;

/** What was received while an event was on (or its post-roll), and is in no file; of one camera. */
function missingMs(reports: readonly Report[], clips: readonly ClipReadyFact[]): number {
  const received = reports.flatMap((line) => (line.type === 'received' ? [line.utcMs] : []));
  const lastUtcMs = Math.max(...received);
  const wanted = reports.flatMap((line) => {
    if (line.type !== 'open' || lastUtcMs - line.utcMs < DUE_MS) return [];
    const close = reports.find((other) => other.type === 'close' && other.eventId === line.eventId);
    const endUtcMs = close?.type === 'close' ? close.utcMs + RECORDING.postRollMs : Infinity;
    return [{ startUtcMs: line.utcMs, endUtcMs }];
  });
  const held = clips.flatMap(({ coverage }) => coverage);
  // Coverage is told in whole milliseconds.
  const lost = received.filter((utcMs) => isIn(wanted, utcMs, 0) && !isIn(held, utcMs, 1));
  return (lost.length / FPS) * 1000;
}

const isIn = (
  stretches: readonly { readonly startUtcMs: number; readonly endUtcMs: number }[],
  utcMs: number,
  toleranceMs: number,
): boolean =>
  stretches.some(
    ({ startUtcMs, endUtcMs }) => utcMs >= startUtcMs - toleranceMs && utcMs < endUtcMs + toleranceMs,
  );
