/** `export`, `verify` and `fsck` beside a running agent, on footage that it records meanwhile. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Payload } from '../../device/contract/topics.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { requireFootage } from '../harness/footage.ts';
import { decode, shown } from './record-encoded.ts';

const footage = await requireFootage();
type Segment = Payload<'segment.ready'>;
let folder: string;
let agent: TestAgent;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-verbs-'));
  agent = await startAgent({
    dataDir: join(folder, 'data'),
    config: {
      cameras: [
        {
          camera_id: 'street',
          video_file: footage,
          detection: { enabled: false },
          recording: { mode: 'continuous', segment_seconds: 10 },
        },
      ],
    },
  });
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const run = (...args: string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(process.execPath, ['device/cli/spyoncino.js', ...args], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
const spyoncino = (...args: string[]): Promise<Outcome> => run(...args, '--data-dir', join(folder, 'data'));

const segment = async (position: number): Promise<Segment> =>
  (
    await agent.message(
      ({ topic, payload }) => topic === 'segment.ready' && (payload as Segment).chain.position === position,
    )
  ).payload as Segment;

const iso = (utcMs: number): string => new Date(utcMs).toISOString();

interface ExportJson {
  readonly files: readonly {
    path: string;
    start_ts: number;
    end_ts: number;
    pictures: number;
    sha256: string;
  }[];
  readonly gaps: readonly { start_ts: number; end_ts: number }[];
  readonly damaged: readonly unknown[];
}

test('a stretch over two segments is exported while the third grows: every picture of it, at its time', async () => {
  const [first, second] = [await segment(1), await segment(2)];
  expect(Math.abs(first.start_ts + first.duration_ms - second.start_ts)).toBeLessThan(50);
  const [from, to] = [second.start_ts - 3210, second.start_ts + 4567];
  const path = join(folder, 'evidence.mp4');
  const stretch = ['--camera', 'street', '--from', iso(from), '--to', iso(to)];
  const { code, stdout, stderr } = await spyoncino('export', ...stretch, path, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { files, gaps, damaged } = JSON.parse(stdout) as ExportJson;
  expect({ gaps, damaged }).toEqual({ gaps: [], damaged: [] });
  expect(files).toEqual([expect.objectContaining({ path, start_ts: from, end_ts: to })]);
  const { pictures, complaints } = await shown(path);
  expect(complaints).toBe('');
  expect(pictures).toHaveLength(files[0]!.pictures);
  // Ten pictures a second, and the one that was on the screen when it began.
  expect([78, 79]).toContain(pictures.length);
  expect(pictures[0]!.seconds).toBe(0);
  // The same as in the segments.
  const recorded = await Promise.all(
    [first, second].map(({ url }) => decode(join(folder, 'data', url)).then(({ pictures }) => pictures)),
  );
  const all = recorded.flat();
  const at = all.indexOf(pictures[0]!.md5);
  expect(pictures.map(({ md5 }) => md5)).toEqual(all.slice(at, at + pictures.length));

  const again = await spyoncino('export', ...stretch, join(folder, 'again.mp4'), '--json');
  expect((JSON.parse(again.stdout) as ExportJson).files[0]!.sha256).toBe(files[0]!.sha256);
  expect(await spyoncino('export', ...stretch, path)).toMatchObject({ code: 2 });
});

test('an export up to now ends with what the growing file holds, and says what is missing', async () => {
  await segment(2);
  const path = join(folder, 'now.mp4');
  const { code, stdout } = await spyoncino(
    ...['export', '--camera', 'street', '--from', '-8s', '--to', '+1h', path, '--json'],
  );
  expect(code).toBe(0);
  const { files, gaps } = JSON.parse(stdout) as ExportJson;
  expect(files[0]!.end_ts - files[0]!.start_ts).toBeGreaterThan(3000);
  expect(gaps.at(-1)!.start_ts).toBe(files[0]!.end_ts);
  const { pictures } = await shown(path);
  expect(pictures).toHaveLength(files[0]!.pictures);
});

test('where there is nothing, it says what there is', async () => {
  const { start_ts } = await segment(1);
  const nothing = (camera: string) =>
    spyoncino('export', '--camera', camera, '--from', '2020-01-01', '--to', '+1d', join(folder, 'no.mp4'));
  const before = await nothing('street');
  expect(before).toMatchObject({ code: 1, stdout: '' });
  expect(before.stderr).toContain(`what is after begins ${iso(start_ts).slice(0, 19)}`);
  expect(before.stderr).toContain('[FOOTAGE_NOT_FOUND]');
  expect((await nothing('attic')).stderr).toContain('there is no camera "attic"; there is street');
});

test('segment and export are proven by the chain, and by links that the bus told; an altered copy is not', async () => {
  const second = await segment(2);
  const log = join(folder, 'bus.jsonl');
  await writeFile(log, agent.messages.map((message) => JSON.stringify(message)).join('\n'));
  const original = join(folder, 'data', second.url);
  const proven = await spyoncino('verify', original, join(folder, 'evidence.mp4'), '--anchors', log);
  expect(proven).toMatchObject({ code: 0, stderr: '' });
  expect(proven.stdout).toContain('link 2 of street: segment');
  expect(proven.stdout).toContain('cut again from its sources, it is the same');
  expect(proven.stdout).toMatch(/chain of street: links 1 to \d+, whole; [2-9] anchors fit/);

  const forged = join(folder, 'forged.mp4');
  await copyFile(original, forged);
  {
    await using file = await open(forged, 'r+');
    await file.write(Buffer.from('forged'), 0, 6, Math.floor(second.size_bytes / 2));
  }
  const { code, stdout } = await spyoncino('verify', forged, '--json');
  expect(code).toBe(1);
  const [verdict] = (JSON.parse(stdout) as { files: readonly { difference: { start_ts: number } }[] }).files;
  expect(verdict).toMatchObject({ state: 'altered', link: { file_id: second.segment_id } });
  const shownTs = verdict!.difference.start_ts;
  expect(shownTs).toBeGreaterThan(second.start_ts);
  expect(shownTs).toBeLessThan(second.start_ts + second.duration_ms);

  const anchor = `street:2:${'0'.repeat(64)}`;
  const rewritten = await spyoncino('verify', original, '--anchor', anchor);
  expect(rewritten).toMatchObject({ code: 1 });
  expect(rewritten.stdout).toContain('the chain was computed anew at or before link 2');
});

test('fsck beside the agent finds nothing at any level, and costs what it says', async () => {
  for (const level of ['presence', 'size', 'hash']) {
    const { code, stdout } = await spyoncino('fsck', '--level', level, '--json');
    const lines = stdout.trim().split('\n');
    expect({ code, lines }).toEqual({ code: 0, lines: [expect.stringContaining('"findings":0')] });
  }
  const strange = join(folder, 'data/media/segments/street/notes.txt');
  await writeFile(strange, 'mine');
  const { code, stdout } = await spyoncino('fsck', '--repair');
  expect(code).toBe(1);
  expect(stdout).toMatch(/^unknown +media\/segments\/street\/notes.txt /);
  await rm(strange);
});

test('verbs look where the configuration says that the data is, and a directory that is asked for wins', async () => {
  const configDir = join(folder, 'config');
  await mkdir(configDir);
  await writeFile(join(configDir, 'config.yaml'), `storage: { path: ${join(folder, 'data')} }\n`);
  const filesIn = async (...args: string[]): Promise<number> => {
    const { stdout } = await run('fsck', '--json', '--config-dir', configDir, ...args);
    const { summary } = JSON.parse(stdout.trim().split('\n').at(-1)!) as { summary: { files: number } };
    return summary.files;
  };
  const mediaIn = async (...args: string[]): Promise<string> => {
    const { stdout } = await run('media', '--json', '--config-dir', configDir, ...args);
    return (JSON.parse(stdout) as { directory: string }).directory;
  };
  expect(await filesIn()).toBeGreaterThan(0);
  expect(await mediaIn()).toBe(join(folder, 'data', 'media'));
  await writeFile(join(configDir, 'config.yaml'), `storage: { path: ${join(folder, 'elsewhere')} }\n`);
  expect(await filesIn('--data-dir', join(folder, 'data'))).toBeGreaterThan(0);
  expect(await mediaIn('--data-dir', join(folder, 'data'))).toBe(join(folder, 'data', 'media'));
});
