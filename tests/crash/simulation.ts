/**
 * Power cuts without a disk, a clock or a process: a real recorder writes to a disk in memory, time is made of
 * numbers, and what any cut could have left is worked out afterwards, laid out as files, and recovered.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { MediaPacket } from '../../device/contract/media.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import type { RecordingMode, RecordingSettings } from '../../device/contract/settings.ts';
import { createRecorder, recoverFootage } from '../../device/record/index.ts';
import { MEDIA_ID, mountMedia, RECORDING } from '../harness/media.ts';
import { memoryFolder } from '../harness/memory-folder.ts';
import { ManualClock } from '../unit/record/manual-clock.ts';
import { quiet, turns } from '../unit/record/rig.ts';
import { START_UTC_MS, syntheticStream } from '../unit/record/synthetic.ts';
import { filmOf } from './film.ts';
import { seededRandom } from './seeded-random.ts';
import { leftBehind, SimulatedDisk, type Omission, type TimedCall } from './simulated-disk.ts';
import { lossOf, MOTION, type Report } from './witness.ts';

export interface SimulationPlan {
  readonly seed: number;
  readonly mode: RecordingMode;
  /** Pictures per GOP. */
  readonly gops: readonly number[];
  readonly bFrames: number;
  readonly audio: boolean;
  readonly preRollMs: number;
  /** Of segments and of clips. */
  readonly maxFileMs: number;
  /** When an event, and motion, begins and how long it goes on, from the first picture on. */
  readonly openMs: number;
  readonly lastsMs: number;
}

/** What the recorder was given and told, and what it asked of its disk. */
export interface Recording {
  readonly settings: RecordingSettings;
  readonly calls: readonly TimedCall[];
  readonly reports: readonly Report[];
  /** Data of all that was received. */
  readonly received: ReadonlySet<string>;
}

const FPS = 25;
const STEP_MS = 5;
/** The first file of a day is twelve calls (folders and names, each made durable): less than a tenth of a second. */
const SLOWNESS_MS = 8;
const WHO = { cameraId: 'porch', run: '7' };

export async function record(plan: SimulationPlan, omits?: Omission): Promise<Recording> {
  const { mode, preRollMs, maxFileMs } = plan;
  const settings = {
    ...{ ...RECORDING, mode, preRollMs, postRollMs: 500 },
    ...{ maxClipMs: maxFileMs, segmentMs: maxFileMs },
  };
  const clock = new ManualClock(START_UTC_MS);
  const random = seededRandom(plan.seed);
  const disk = new SimulatedDisk({ clock, random, slownessMs: SLOWNESS_MS, ...(omits && { omits }) });
  const reports: Report[] = [];
  const recorder = createRecorder({
    ...{ ...WHO, dataDir: '/', mediaId: MEDIA_ID, settings, clock, disk },
    ...{ meter: noMeter, log: quiet },
    emit: (fact) => {
      if (fact.type !== 'clip.ready' && fact.type !== 'segment.ready') return;
      const { path } = fact.type === 'clip.ready' ? fact.clip : fact.segment;
      if (path === null || fact.sha256 === null) return;
      reports.push({ type: 'announced', atMs: clock.utcMs(), path, sha256: fact.sha256 });
    },
  });

  const openUtcMs = START_UTC_MS + plan.openMs;
  const closeUtcMs = openUtcMs + plan.lastsMs;
  const turn = (type: 'begins' | 'ends', utcMs: number): void => {
    if (type === 'begins') recorder.openEvent('visit', utcMs);
    else recorder.closeEvent('visit', utcMs);
    recorder.motion(type === 'begins' ? 'start' : 'end', utcMs);
    for (const what of ['visit', MOTION]) reports.push({ ...WHO, atMs: clock.utcMs(), type, what, utcMs });
  };
  const { info, packets } = syntheticStream({ ...plan, frameTicks: 90_000 / FPS, bytes: 300 });
  const waiting = [...packets];
  const endUtcMs = Math.max(closeUtcMs, ...packets.map(arrivalUtcMs));
  let next: 'begins' | 'ends' | null = 'begins';
  recorder.stream(info);
  for (let nowMs = START_UTC_MS; nowMs <= endUtcMs + STEP_MS; nowMs += STEP_MS) {
    clock.advanceTo(nowMs);
    while (waiting[0] && arrivalUtcMs(waiting[0]) <= nowMs) {
      const packet = waiting.shift()!;
      recorder.packet(packet);
      if (packet.track === 'video') {
        reports.push({ ...WHO, atMs: nowMs, type: 'picture', utcMs: packet.utcMs, durationMs: 1000 / FPS });
      }
    }
    if (next === 'begins' && nowMs >= openUtcMs) {
      turn(next, openUtcMs);
      next = 'ends';
    }
    if (next === 'ends' && nowMs >= closeUtcMs) {
      turn(next, closeUtcMs);
      next = null;
    }
    await turns();
  }
  const closed = recorder.close();
  // What it still has to do takes time, too.
  const pending = Symbol('pending');
  while ((await Promise.race([closed, turns().then(() => pending)])) === pending) clock.advance(STEP_MS);
  const received = new Set(packets.map(({ data }) => contentOf(data)));
  return { settings, calls: disk.calls, reports, received };
}

const arrivalUtcMs = ({ utcMs, pts, dts, track }: MediaPacket): number =>
  track === 'video' ? utcMs - (pts - dts) / 90 : utcMs;

export interface CutResult {
  readonly lostMs: number;
  /** What else is not as promised. */
  readonly broken: readonly string[];
}

const STRANGERS: ReadonlyMap<string, Buffer> = new Map([
  ['media/clips/porch/2026-11-23/holiday.mp4', Buffer.from('not a film')],
  ['media/segments/porch/notes.txt', Buffer.from('whose are these?')],
]);

/** Cuts the power right before call number `at`, and looks at what can be recovered. */
export async function cutAt(recording: Recording, at: number, random: () => number): Promise<CutResult> {
  const { calls, reports, settings } = recording;
  const endMs = calls[at]!.utcMs;
  const broken: string[] = [];
  const left = leftBehind(calls.slice(0, at), random);
  for (const report of reports) {
    if (report.type !== 'announced' || report.atMs >= endMs) continue;
    const bytes = left.get(`/${report.path}`);
    const isThere = bytes && createHash('sha256').update(bytes).digest('hex') === report.sha256;
    if (!isThere) broken.push(`${report.path} was announced and is not there as announced`);
  }
  const folder = await mkdtemp(join(memoryFolder(), 'spyoncino-cut-'));
  try {
    await mountMedia(folder);
    for (const [name, bytes] of [...left, ...STRANGERS]) {
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
    }
    const clock = new ManualClock(endMs);
    await recoverFootage(
      { ...WHO, run: 'next', dataDir: folder, mediaId: MEDIA_ID, clock, log: quiet, emit: () => {} },
      new AbortController().signal,
    );
    for (const [name, bytes] of STRANGERS) {
      const kept = await readFile(join(folder, name)).catch(() => null);
      if (!kept?.equals(bytes)) broken.push(`${name} is not ours and was touched`);
    }
    const heldUtcMs = await picturesIn(folder, recording, broken);
    const { lostMs } = lossOf({ reports, cameraId: WHO.cameraId, recording: settings, heldUtcMs, endMs });
    return { lostMs, broken };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** When the pictures in the footage below `folder` were shown. Whatever was never received is broken. */
async function picturesIn(
  folder: string,
  { received }: Recording,
  broken: string[],
): Promise<readonly number[]> {
  const pictures: number[] = [];
  for (const name of await readdir(folder, { recursive: true })) {
    if (name.endsWith('.part.mp4')) broken.push(`${name} was left unfinished`);
    if (!name.endsWith('.mp4') || STRANGERS.has(name)) continue;
    try {
      const { picturesUtcMs, samples } = filmOf(await readFile(join(folder, name)));
      pictures.push(...picturesUtcMs);
      if (!samples.every((data) => received.has(contentOf(data)))) {
        broken.push(`${name} holds what was never received`);
      }
    } catch (error) {
      broken.push(`${name} cannot be read: ${String(error)}`);
    }
  }
  return pictures;
}

const contentOf = (data: Uint8Array): string => Buffer.from(data).toString('latin1');
