import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { ConfigFact } from '../../../device/contract/config.ts';
import type { Settings } from '../../../device/contract/settings.ts';
import { ConfigKeeper, type Applier, type HealthLevel } from '../../../device/settings/keeper.ts';
import type { ChangePlan } from '../../../device/settings/plan.ts';
import { ManualClock } from '../record/manual-clock.ts';
import { fingerprintOf } from '../../../device/settings/fingerprint.ts';
import { History } from '../../../device/settings/history.ts';
import { loadSettings } from '../../../device/settings/index.ts';
import { configDir } from './config-dir.ts';

const FILE = `# mine
cameras:
  - camera_id: porch
    test_pattern: true
  - camera_id: yard
    test_pattern: true
`;

/** An agent that remembers what it was made to run on. */
class FakeAgent implements Applier {
  readonly plans: ChangePlan[] = [];
  readonly parts = new Map<string, HealthLevel>([
    ['camera.porch', 'healthy'],
    ['camera.yard', 'degraded'],
  ]);
  settings: Settings | null = null;
  /** What `apply` does in place of succeeding; once. */
  fails: Error | null = null;

  async apply(plan: ChangePlan, settings: Settings): Promise<void> {
    const failure = this.fails;
    this.fails = null;
    this.plans.push(plan);
    this.settings = settings;
    if (failure) throw failure;
  }

  health(): ReadonlyMap<string, HealthLevel> {
    return new Map(this.parts);
  }

  tell(fact: ConfigFact): void {
    facts.push(fact);
  }
}

let dir: Awaited<ReturnType<typeof configDir>>;
let clock: ManualClock;
let facts: ConfigFact[];
let agent: FakeAgent;
let keeper: ConfigKeeper;

const open = async (): Promise<ConfigKeeper> => {
  const opened = await ConfigKeeper.open({
    load: { configDir: dir.path, dataDir: dir.path, env: {}, version: '1.0.0' },
    stateDir: join(dir.path, 'state'),
    clock,
    log: pino({ enabled: false }),
  });
  opened.serve(agent);
  return opened;
};
const file = () => readFile(join(dir.path, 'config.yaml'), 'utf8');
const types = () => facts.map(({ type }) => type);

beforeEach(async () => {
  dir = await configDir({ config: FILE });
  clock = new ManualClock(Date.UTC(2026, 10, 25));
  facts = [];
  agent = new FakeAgent();
  keeper = await open();
  facts = [];
});

afterEach(async () => {
  await keeper[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

/** Lets time pass, a second at a time, until no change is on trial or `ms` are over. */
async function pass(ms: number): Promise<void> {
  const settled = keeper.settled().then(() => true);
  const turn = () => new Promise<false>((resolve) => setImmediate(() => resolve(false)));
  for (let passed = 0; passed < ms;) {
    if (await Promise.race([settled, turn()])) return;
    if (clock.sleepers === 0) continue;
    clock.advance(1000);
    passed += 1000;
  }
}

const setFps = (fps: number) => ({ author: 'ada', changes: { cameras: { porch: { fps } } } });

test('a change is written with its comments kept, applied to what it touches, told, and remembered', async () => {
  const result = await keeper.update(setFps(5));
  expect(result.summary).toBe('camera porch restarts; nothing else');
  expect(result.changes).toEqual([{ key: 'cameras.porch.fps', after: 5 }]);
  expect(await file()).toBe(FILE.replace('true\n', 'true\n    fps: 5\n'));
  expect(agent.plans).toEqual([
    { steps: [{ kind: 'camera', action: 'restart', cameraId: 'porch' }], atNextStart: [] },
  ]);
  expect(facts).toMatchObject([{ type: 'snapshot', author: 'ada', fingerprint: result.fingerprint }]);
  await pass(120_000);
  const history = await keeper.history();
  expect(history.map(({ author }) => author)).toEqual(['file', 'ada']);
  expect(history[1]?.parent).toBe(history[0]?.fingerprint);
});

test('what is not valid changes nothing, and says everything that is wrong', async () => {
  const changes = { cameras: { porch: { fpss: 1 } }, bus: { port: 'x' } };
  const refused = keeper.update({ author: 'ada', changes });
  await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await expect(refused).rejects.toThrow(/fpss.*did you mean fps[\s\S]*bus\.port/);
  expect(await file()).toBe(FILE);
  expect(agent.plans).toEqual([]);
  expect(facts).toMatchObject([{ type: 'rejected', author: 'ada', reason: { code: 'CONFIG_INVALID' } }]);
});

test('nonsense is refused with a code and leaves file and agent alone, or is a change like any other', async () => {
  const name = fc.constantFrom(
    'cameras',
    'porch',
    'fps',
    'bus',
    'port',
    'rate_limit',
    'zones',
    '__proto__',
    '',
  );
  const { tree } = fc.letrec<{ tree: Record<string, unknown> }>((tie) => ({
    tree: fc.dictionary(
      name,
      fc.oneof({ maxDepth: 3 }, fc.jsonValue({ maxDepth: 1 }), fc.constant('a: [b'), tie('tree')),
      { maxKeys: 3 },
    ),
  }));
  await fc.assert(
    fc.asyncProperty(tree, async (changes) => {
      const before = [await file(), keeper.current.fingerprint, agent.plans.length];
      const error = await keeper.update({ author: 'eve', changes }).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      if (error === null) return;
      expect(error).toMatchObject({ code: expect.stringMatching(/^CONFIG_(?!APPLY_FAILED)/) });
      expect([await file(), keeper.current.fingerprint, agent.plans.length]).toEqual(before);
    }),
    { numRuns: 100 },
  );
});

test('a dry run only says what would happen', async () => {
  const result = await keeper.update({ ...setFps(5), dryRun: true });
  expect(result.summary).toBe('camera porch restarts; nothing else');
  expect([await file(), agent.plans, facts]).toEqual([FILE, [], []]);
});

test('when a step fails, agent and file are as before', async () => {
  agent.fails = new Error('the port is taken');
  await expect(keeper.update(setFps(5))).rejects.toMatchObject({ code: 'CONFIG_APPLY_FAILED' });
  expect(await file()).toBe(FILE);
  expect(agent.settings?.cameras[0]?.source).toEqual(keeper.current.settings.cameras[0]?.source);
  expect(agent.plans).toHaveLength(2);
  expect(types()).toEqual(['rejected']);
  // Nothing is left that the next start would undo.
  await keeper[Symbol.asyncDispose]();
  keeper = await open();
  expect(types()).toEqual(['rejected', 'snapshot']);
});

test('a part that is worse off after the change takes it back', async () => {
  await keeper.update(setFps(5));
  agent.parts.set('camera.porch', 'error');
  await pass(120_000);
  expect(await file()).toBe(FILE);
  expect(agent.plans).toHaveLength(2);
  expect(facts).toMatchObject([
    { type: 'snapshot' },
    { type: 'rollback', reason: { code: 'CONFIG_REVERTED' }, fingerprint: keeper.current.fingerprint },
    { type: 'snapshot', author: 'revert' },
  ]);
});

test('what only restarts, was ill before, or was not touched, does not', async () => {
  await keeper.update(setFps(5));
  agent.parts.set('camera.porch', 'degraded');
  agent.parts.set('camera.yard', 'error');
  await pass(5000);
  agent.parts.set('camera.porch', 'healthy');
  await pass(120_000);
  expect(await file()).toContain('fps: 5');
  expect(types()).toEqual(['snapshot']);
});

test('a change on top of an unconfirmed one: both go back to what was confirmed', async () => {
  await keeper.update(setFps(5));
  await keeper.update({ author: 'bob', changes: { cameras: { yard: { fps: 3 } } } });
  agent.parts.set('camera.porch', 'error');
  await pass(120_000);
  expect(await file()).toBe(FILE);
  expect(keeper.current.text).toBe(FILE);
});

test('after a power cut in the confirm window the change is undone at the next start', async () => {
  await keeper.update(setFps(5));
  await keeper[Symbol.asyncDispose]();
  facts = [];
  keeper = await open();
  expect(await file()).toBe(FILE);
  expect(facts).toMatchObject([
    { type: 'rollback', reason: { code: 'CONFIG_REVERTED' }, fingerprint: keeper.current.fingerprint },
    { type: 'snapshot' },
  ]);
});

test('a confirmed change is not', async () => {
  await keeper.update(setFps(5));
  await pass(120_000);
  await keeper[Symbol.asyncDispose]();
  keeper = await open();
  expect(await file()).toContain('fps: 5');
});

test('what a person typed meanwhile stays', async () => {
  await keeper.update(setFps(5));
  const typed = FILE.replace('yard', 'garden');
  await writeFile(join(dir.path, 'config.yaml'), typed);
  await keeper[Symbol.asyncDispose]();
  keeper = await open();
  expect(await file()).toBe(typed);
  expect((await keeper.history()).at(-1)).toMatchObject({ author: 'file', text: typed });
});

test('reload takes what was typed into the file', async () => {
  await writeFile(join(dir.path, 'config.yaml'), FILE.replace('yard', 'garden'));
  const { plan } = await keeper.update({ author: 'ada', changes: null });
  expect(plan.steps).toEqual([
    { kind: 'camera', action: 'stop', cameraId: 'yard' },
    { kind: 'camera', action: 'start', cameraId: 'garden' },
  ]);
});

test('rollback brings a text back by its fingerprint', async () => {
  const { fingerprint: first } = keeper.current;
  await keeper.update(setFps(5));
  await pass(120_000);
  const result = await keeper.rollback({ author: 'ada', fingerprint: first.slice(0, 8) });
  expect(result.fingerprint).toBe(first);
  expect(await file()).toBe(FILE);
  expect(types()).toEqual(['snapshot', 'snapshot', 'rollback']);
  await expect(keeper.rollback({ author: 'ada', fingerprint: 'f00d' })).rejects.toMatchObject({
    code: 'CONFIG_UNKNOWN',
  });
});

test('changes wait for each other; too many are refused and change nothing', async () => {
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) => keeper.update(setFps(i + 1))),
  );
  const refused = results.filter(({ status }) => status === 'rejected');
  expect(refused).toMatchObject(refused.map(() => ({ reason: { code: 'CONFIG_BUSY' } })));
  expect(refused.length).toBeGreaterThan(0);
  const accepted = results.length - refused.length;
  expect(agent.plans).toHaveLength(accepted);
  expect(await file()).toContain(`fps: ${accepted}\n`);
});

test('a change under a key of the original system counts, whatever the file calls it', async () => {
  await writeFile(join(dir.path, 'config.yaml'), `${FILE}rate_limit: { max_events: 3 }\n`);
  await keeper.update({ author: 'file', changes: null });
  expect(agent.settings?.outputs.rateLimit.maxEvents).toBe(3);
  await keeper.update({ author: 'ada', changes: { rate_limit: { max_events: 9 } } });
  expect(agent.settings?.outputs.rateLimit.maxEvents).toBe(9);
  await keeper.update({ author: 'ada', changes: { outputs: { rate_limit: { max_events: 2 } } } });
  expect(agent.settings?.outputs.rateLimit.maxEvents).toBe(2);
  expect(keeper.current.warnings).toEqual([]);
});

test('secrets are neither in history nor in what is told', async () => {
  const secrets = join(dir.path, 'secrets.yaml');
  await writeFile(secrets, 'cameras: { porch: { password: hunter2 } }\n', { mode: 0o600 });
  await chmod(secrets, 0o600);
  await keeper.update(setFps(5));
  expect(JSON.stringify([facts, await keeper.history()])).not.toContain('hunter2');
});

describe('a configuration that a newer version took, after an update that fell back', () => {
  const LATER = `${FILE}    sonar: { range_m: 5 }
  - camera_id: roof
    telepathy: true
`;

  /** The newer version ran on this text. */
  async function newerRanOn(text: string): Promise<void> {
    await keeper[Symbol.asyncDispose]();
    await writeFile(join(dir.path, 'config.yaml'), text);
    await new History(join(dir.path, 'state')).add({
      ...{ fingerprint: fingerprintOf(parse(text)), parent: null, author: 'ada', utcMs: 0, changes: [] },
      ...{ text, version: '2.0.0' },
    });
  }

  test('is run on without what this version does not know; the file keeps it', async () => {
    await newerRanOn(LATER);
    keeper = await open();
    expect(keeper.current.settings.cameras.map(({ cameraId }) => cameraId)).toEqual(['porch', 'yard']);
    expect(keeper.current.warnings).toEqual([
      expect.stringMatching(/^CONFIG_OTHER_VERSION: .*config.yaml:7: cameras.yard.sonar unknown key/),
      expect.stringMatching(/^CONFIG_OTHER_VERSION: .*:9: cameras.roof.telepathy unknown key/),
      expect.stringMatching(/^CONFIG_OTHER_VERSION: .*:8: cameras.roof /),
    ]);
    expect(await file()).toBe(LATER);
  });

  test('can be changed, and is still run on after the next start, and by the newer version', async () => {
    await newerRanOn(LATER);
    keeper = await open();
    await keeper.update(setFps(5));
    await pass(120_000);
    expect(await file()).toBe(LATER.replace('true\n', 'true\n    fps: 5\n'));
    await keeper[Symbol.asyncDispose]();
    keeper = await open();
    expect(keeper.current.settings.cameras[0]).toMatchObject({ cameraId: 'porch', source: { fps: 5 } });
  });

  test('other mistakes are refused as ever', async () => {
    await newerRanOn(LATER);
    keeper = await open();
    await expect(
      keeper.update({ author: 'ada', changes: { cameras: { porch: { telepathy: true } } } }),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.not.stringContaining('sonar') });
    await writeFile(join(dir.path, 'config.yaml'), `${LATER}fpss: 4\n`);
    await expect(keeper.update({ author: 'file', changes: null })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });

  test('is refused where the history does not know that another version took it', async () => {
    await writeFile(join(dir.path, 'config.yaml'), LATER);
    await expect(open()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test('is refused where the environment is at fault', async () => {
    await newerRanOn(LATER);
    const load = { configDir: dir.path, dataDir: dir.path, version: '1.0.0' };
    await expect(loadSettings({ ...load, env: { SPYONCINO_BUS__PORT: 'nowhere' } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    keeper = await open();
  });
});
