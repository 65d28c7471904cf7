import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CodedError } from '../../../device/contract/errors.ts';
import {
  addRun,
  gateReasonsOf,
  readRuns,
  runGate,
  type Ask,
  type GateRun,
} from '../../../device/gate/index.ts';
import { systemClock, type Clock } from '../../../device/kernel/clock.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-gate-'));
});
afterEach(() => rm(dataDir, { recursive: true }));

/** Sleeping is what makes time pass. */
function jumpingClock(): Clock {
  let nowMs = 0;
  return { ...systemClock, monotonicMs: () => nowMs, sleep: async (ms) => void (nowMs += ms) };
}

const well = { status: 'healthy', reasons: [] };
const summary = (cameras: Readonly<Record<string, object>>, storage: object = well) => ({
  status: 'healthy',
  modules: {
    'modules.input.rtsp_camera': { ...well, instances: cameras },
    'modules.storage.retention': storage,
  },
});
const error = (code: string) => ({ status: 'error', reasons: [{ code, message: `because of ${code}` }] });

/** An agent with one camera that works, but for what is given. */
function agent(own: Partial<Record<string, (about: Parameters<Ask>[1]) => unknown>> = {}): Ask {
  const answers: Record<string, (about: Parameters<Ask>[1]) => unknown> = {
    'system.status': () => summary({ porch: well }),
    'camera.snapshot': async () => {
      await writeFile(join(dataDir, 'now.jpg'), Buffer.from([0xff, 0xd8, 0xff]));
      return { path: 'now.jpg' };
    },
    'event.create': () => ({ event_id: 'e1' }),
    'recordings.get': async () => {
      await writeFile(join(dataDir, 'clip.mp4'), Buffer.from('\0\0\0\x08ftyp....moof....mdat'));
      return { path: 'clip.mp4' };
    },
    ...own,
  };
  return async (command, about) => answers[command]!(about);
}

const gate = (ask: Ask, own: Partial<Parameters<typeof runGate>[0]> = {}) =>
  runGate({
    dataDir,
    stateDir: join(dataDir, 'state'),
    ask,
    api: async () => 200,
    restarts: async () => 0,
    isConfigured: true,
    waitMs: 60_000,
    clock: jumpingClock(),
    signal: new AbortController().signal,
    ...own,
  });

const refuse = (code: ConstructorParameters<typeof CodedError>[0]) => () => {
  throw new CodedError(code);
};
const outcomeOf = async (verdict: ReturnType<typeof gate>, name: string) => {
  const { checks, outcome } = await verdict;
  const check = checks.find(({ check }) => check === name);
  return [outcome, check?.outcome, check?.reason?.code];
};

test('everything proven at the first look is good at once', async () => {
  const { checks, outcome, tookMs } = await gate(agent());
  expect(outcome).toBe('good');
  expect(tookMs).toBe(0);
  expect(checks.map(({ outcome }) => outcome)).toEqual(Array(6).fill('passed'));
});

test('what is not there yet is waited for', async () => {
  let looks = 0;
  const late = agent({
    'system.status': () => (++looks < 5 ? refuse('BUS_UNREACHABLE')() : summary({ porch: well })),
  });
  expect((await gate(late)).outcome).toBe('good');
});

test('what is the fault of the new version fails, after it was sure of it', async () => {
  const dying = agent({
    'system.status': () => summary({ porch: error('CAMERA_HOST_CRASHED') }),
    'camera.snapshot': refuse('CAMERA_NOT_RUNNING'),
  });
  const { outcome, tookMs } = await gate(dying);
  expect(outcome).toBe('failed');
  expect(tookMs).toBeGreaterThanOrEqual(15_000);
  expect(tookMs).toBeLessThan(30_000);
  expect(await outcomeOf(gate(agent(), { api: async () => 500 }), 'api')).toEqual([
    'failed',
    'failed',
    'GATE_API_FAILED',
  ]);
  expect(await outcomeOf(gate(agent({ 'system.status': refuse('UNAUTHENTICATED') })), 'bus')).toEqual([
    ...['failed', 'failed', 'GATE_BUS_FAILED'],
  ]);
  expect(await outcomeOf(gate(agent(), { restarts: async () => 'failed' }), 'agent')).toEqual([
    ...['failed', 'failed', 'GATE_AGENT_CRASHES'],
  ]);
});

test('what failed in passing is forgiven', async () => {
  let looks = 0;
  expect((await gate(agent(), { api: async () => (++looks < 5 ? 503 : 200) })).outcome).toBe('good');
});

test('what may be the fault of the world stays unknown', async () => {
  const dark = agent({
    'system.status': () => summary({ porch: error('CAMERA_UNREACHABLE') }),
    'camera.snapshot': refuse('CAMERA_NOT_RUNNING'),
  });
  expect(await outcomeOf(gate(dark), 'frame')).toEqual(['unknown', 'unknown', 'GATE_NO_FRAME']);
  expect(await outcomeOf(gate(agent({ 'system.status': refuse('BUS_UNREACHABLE') })), 'bus')).toEqual([
    ...['unknown', 'unknown', 'GATE_AGENT_SILENT'],
  ]);
  expect(await outcomeOf(gate(agent({ 'recordings.get': refuse('FOOTAGE_NOT_FOUND') })), 'fragment')).toEqual(
    [...['unknown', 'unknown', 'GATE_NO_FRAGMENT']],
  );
});

test('a disk of which the agent says that it keeps nothing fails', async () => {
  const full = agent({
    'system.status': () => summary({ porch: well }, error('DISK_FULL')),
    'recordings.get': refuse('FOOTAGE_NOT_FOUND'),
  });
  expect(await outcomeOf(gate(full), 'fragment')).toEqual(['failed', 'failed', 'GATE_NO_FRAGMENT']);
  await mkdir(join(dataDir, 'file'));
  await writeFile(join(dataDir, 'file/state'), '');
  const noFolder = gate(agent(), { stateDir: join(dataDir, 'file/state') });
  expect(await outcomeOf(noFolder, 'data')).toEqual(['failed', 'failed', 'GATE_DATA_NOT_WRITABLE']);
});

test('an old picture is none of now', async () => {
  await writeFile(join(dataDir, 'old.jpg'), Buffer.from([0xff, 0xd8]));
  const clock = { ...jumpingClock(), utcMs: () => Date.now() + 3600_000 };
  const stale = gate(agent({ 'camera.snapshot': () => ({ path: 'old.jpg' }) }), { clock });
  expect(await outcomeOf(stale, 'frame')).toEqual(['unknown', 'unknown', 'GATE_NO_FRAME']);
});

test('the reports of the last ten runs are kept, and the reasons of a version are those of its last run', async () => {
  const run = (version: string, outcome: GateRun['outcome'], message: string): GateRun => ({
    ...{ version, outcome, attempt: 1, boot_id: '', started_ts: 0, took_ms: 0 },
    checks: [
      {
        check: 'frame',
        outcome: 'unknown',
        seen: null,
        reason: { code: 'GATE_NO_FRAME', message, advice: '' },
      },
    ],
  });
  const stateDir = join(dataDir, 'state');
  expect(await gateReasonsOf(stateDir, '1.0.0')).toEqual([]);
  for (let at = 0; at < 12; at++) await addRun(stateDir, run('1.0.0', 'unknown', `try ${at}`));
  expect(await readRuns(stateDir)).toHaveLength(10);
  expect(await gateReasonsOf(stateDir, '1.0.0')).toMatchObject([{ message: 'try 11' }]);
  expect(await gateReasonsOf(stateDir, '2.0.0')).toEqual([]);
  // What a power cut left of it is no obstacle.
  const path = join(stateDir, 'health-gate.json');
  await writeFile(path, (await readFile(path, 'utf8')).slice(0, 100));
  await addRun(stateDir, run('2.0.0', 'failed', 'again'));
  expect(await readRuns(stateDir)).toHaveLength(1);
});

test('a box that nobody set up is not held back by the camera it waits for, but by one that was named', async () => {
  const waiting = agent({
    'system.status': () => summary({ camera: error('CAMERA_DEVICE_MISSING') }),
    'camera.snapshot': refuse('CAMERA_NOT_RUNNING'),
  });
  expect(await outcomeOf(gate(waiting, { isConfigured: false }), 'frame')).toEqual([
    ...['good', 'skipped', undefined],
  ]);
  expect(await outcomeOf(gate(waiting), 'frame')).toEqual(['unknown', 'unknown', 'GATE_NO_FRAME']);
});
