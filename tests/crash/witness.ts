/** What really happened, written down by those it happened to: a line of JSON each, in a file that outlives them. */
import { openSync, readFileSync, writeSync } from 'node:fs';
import type { RecordingSettings } from '../../device/contract/settings.ts';

/** `atMs` is when it happened, `utcMs` the moment it is about; both on the machine's clock. */
export type Report = { readonly atMs: number } & (CameraReport | Announcement);

/** Footage was announced to everybody. */
interface Announcement {
  readonly type: 'announced';
  readonly path: string;
  readonly sha256: string;
}

type CameraReport = { readonly cameraId: string; readonly run: string } & (
  | /** A picture was handed to the recorder. */
    { readonly type: 'picture'; readonly utcMs: number; readonly durationMs: number }
  /** The recorder was told that an event, or motion, begins and ends. */
  | { readonly type: 'begins' | 'ends'; readonly what: string; readonly utcMs: number }
  /** Its process begins to feed the recorder. */
  | { readonly type: 'starts'; readonly pid: number }
  /** The recorder was closed and said that it is done. */
  | { readonly type: 'drained' }
);

/** Each line has reached the file when this returns, so a kill takes none of them back. */
export function openReports(file: string): (report: CameraReport | Announcement) => void {
  const fd = openSync(file, 'a');
  return (report) => {
    const atMs = Date.now();
    writeSync(fd, `${JSON.stringify({ atMs, ...report })}\n`);
  };
}

export const readReports = (file: string): readonly Report[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Report);

export interface Loss {
  /**
   * How much footage came in after the oldest picture that is missing was to be kept; 0 when none is missing.
   * Its age, that is, but for moments in which this machine let nobody work.
   */
  readonly lostMs: number;
  /** Pictures that recorders said they had written, and that are missing. */
  readonly denied: number;
}

export interface LossQuestion {
  readonly reports: readonly Report[];
  readonly cameraId: string;
  readonly recording: RecordingSettings;
  /** Times of the pictures that are in files. */
  readonly heldUtcMs: readonly number[];
  /** When the recorders were killed, or the power went. */
  readonly endMs: number;
}

/** What of a camera is missing, of all that its recorders had received by then and were to keep. */
export function lossOf({ reports, cameraId, recording, heldUtcMs, endMs }: LossQuestion): Loss {
  const held = new Set(heldUtcMs.flatMap(nearby));
  const known = reports
    .filter((report) => report.type !== 'announced')
    .filter((report) => report.cameraId === cameraId && report.atMs <= endMs);
  let [lostMs, denied] = [0, 0];
  for (const run of Map.groupBy(known, ({ run }) => run).values()) {
    const dueMs = whenDue(run, recording);
    const pictures = run.filter((report) => report.type === 'picture');
    const missing = pictures
      .filter(({ utcMs }) => !held.has(Math.round(utcMs)))
      .map(({ atMs, utcMs }) => Math.max(atMs, dueMs(utcMs)))
      .filter((ms) => ms < Infinity);
    if (run.some(({ type }) => type === 'drained')) denied += missing.length;
    const oldestMs = Math.min(...missing);
    const since = pictures.filter(({ atMs }) => atMs >= oldestMs);
    lostMs = Math.max(
      lostMs,
      since.reduce((sum, { durationMs }) => sum + durationMs, 0),
    );
  }
  return { lostMs: Math.round(lostMs), denied };
}

/** Pictures are decoded in another order than they are shown in. */
const REORDERED_MS = 300;

/** Events in files: those of which a picture is held that came when the recorder had been told of them. */
export function filmedOf({
  reports,
  cameraId,
  heldUtcMs,
}: Pick<LossQuestion, 'reports' | 'cameraId' | 'heldUtcMs'>): readonly string[] {
  const known = reports
    .filter((report) => report.type !== 'announced')
    .filter((report) => report.cameraId === cameraId);
  return [...Map.groupBy(known, ({ run }) => run).values()].flatMap((run) => {
    const lastUtcMs = run.findLast((report) => report.type === 'picture')?.utcMs ?? -Infinity;
    return run.flatMap((begin) => {
      if (begin.type !== 'begins' || begin.what.startsWith(MOTION)) return [];
      const isHeld = (utcMs: number): boolean => utcMs > begin.utcMs + REORDERED_MS && utcMs <= lastUtcMs;
      return heldUtcMs.some(isHeld) ? begin.what : [];
    });
  });
}

/** The whole milliseconds that may stand for the same moment, computed on another way; pictures are further apart. */
const nearby = (utcMs: number): readonly number[] => [-1, 0, 1].map((by) => Math.round(utcMs) + by);

/** When the recorder was first told to keep what was shown at a time; Infinity if never. */
function whenDue(known: readonly Report[], recording: RecordingSettings): (utcMs: number) => number {
  const { mode, preRollMs, postRollMs } = recording;
  if (mode === 'continuous') return () => -Infinity;
  const wanted = known.flatMap((begin) => {
    if (begin.type !== 'begins' || (mode === 'events' && begin.what.startsWith(MOTION))) return [];
    const end = known.find((other) => other.type === 'ends' && other.what === begin.what);
    return {
      toldMs: begin.atMs,
      fromUtcMs: begin.utcMs - preRollMs,
      toUtcMs: end?.type === 'ends' ? end.utcMs + postRollMs : Infinity,
    };
  });
  return (utcMs) =>
    Math.min(
      ...wanted
        .filter(({ fromUtcMs, toUtcMs }) => utcMs >= fromUtcMs && utcMs < toUtcMs)
        .map(({ toldMs }) => toldMs),
    );
}

/** What begins with this is no event. */
export const MOTION = 'motion';
