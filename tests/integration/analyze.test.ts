/** `spyoncino analyze` on real footage: people are found, and twice the same file gives twice the same lines. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireFootage } from '../harness/footage.ts';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['ffmpeg']);
const footage = await requireFootage();
const exec = promisify(execFile);

interface EventLine {
  readonly file: string;
  readonly label: string;
  readonly start_s: number;
  readonly end_s: number;
  readonly score: number;
  readonly track_id: number;
  readonly zones: readonly string[];
  readonly best_s: number;
  readonly box: readonly [number, number, number, number];
}

let folder: string;
let excerpt: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-analyze-'));
  excerpt = join(folder, 'excerpt.avi');
  await exec('ffmpeg', ['-v', 'error', '-t', '12', '-i', footage, '-c', 'copy', excerpt]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function analyze(...args: string[]): Promise<{ lines: object[]; status: number; stderr: string }> {
  try {
    const { stdout, stderr } = await exec(
      process.execPath,
      ['device/main.ts', 'analyze', '--data-dir', folder, '--config-dir', folder, '--json', ...args],
      { env: { ...process.env, NODE_NO_WARNINGS: '1' } },
    );
    return {
      lines: stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as object),
      status: 0,
      stderr,
    };
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string };
    return { lines: [], status: code, stderr };
  }
}

const CONFIG = `
cameras:
  - camera_id: street
    test_pattern: true
    zones: [{ id: everywhere, bounds: [0, 0, 1, 1], action: observe }]
`;

test('pedestrians are found where they are, and the outcome repeats', async () => {
  await writeFile(join(folder, 'config.yaml'), CONFIG);
  const first = await analyze(excerpt, '--fps', '3');
  expect(first).toMatchObject({ status: 0, stderr: '' });
  const events = first.lines.filter((line): line is EventLine => 'label' in line);
  expect(events.filter(({ label }) => label === 'person').length).toBeGreaterThanOrEqual(3);
  expect(new Set(events.map(({ track_id }) => track_id)).size).toBe(events.length);
  for (const { start_s, end_s, best_s, score, box, zones, file } of events) {
    expect(file).toBe(excerpt);
    expect(start_s).toBeLessThanOrEqual(best_s);
    expect(best_s).toBeLessThanOrEqual(end_s);
    expect(end_s).toBeLessThanOrEqual(12.1);
    expect(score).toBeGreaterThan(0.5);
    const [x1, y1, x2, y2] = box;
    expect(x1 >= 0 && y1 >= 0 && x2 <= 1 && y2 <= 1 && x1 < x2 && y1 < y2).toBe(true);
    // Whoever is seen from afar is taller than wide, in pixels of a 768×576 picture.
    expect((y2 - y1) * 576).toBeGreaterThan((x2 - x1) * 768 * 0.8);
    expect(zones).toEqual(['everywhere']);
  }
  const motion = first.lines.find((line): line is { motion: [number, number][] } => 'motion' in line)!.motion;
  expect(motion.length).toBeGreaterThan(0);
  for (const [start, end] of motion) expect(start).toBeLessThan(end);
  const { frames, inferences } = first.lines.at(-1) as { frames: number; inferences: number };
  expect(frames).toBe(36);
  expect(inferences).toBeGreaterThan(0);

  const second = await analyze(excerpt, '--fps', '3');
  expect(second.lines.slice(0, -1)).toEqual(first.lines.slice(0, -1));
});

test('a file that is not there, and one that is no video, are named errors', async () => {
  const absent = await analyze(join(folder, 'absent.mp4'));
  expect(absent.status).toBe(1);
  expect(absent.stderr).toContain('[CAMERA_FILE_MISSING]');
  const text = join(folder, 'text.mp4');
  await writeFile(text, 'this is not a film\n'.repeat(100));
  const garbage = await analyze(text);
  expect(garbage.status).toBe(1);
  expect(garbage.stderr).toContain('[CAMERA_INPUT_INVALID]');
});

test('an unknown model and a wrong option say what to do', async () => {
  const model = await analyze(excerpt, '--model', 'nonesuch');
  expect(model.status).toBe(1);
  expect(model.stderr).toContain('[MODEL_UNKNOWN]');
  expect(model.stderr).toContain('spyoncino models list');
  const option = await analyze(excerpt, '--fsp', '3');
  expect(option.status).toBe(2);
  expect(option.stderr).toContain('[USAGE]');
});
