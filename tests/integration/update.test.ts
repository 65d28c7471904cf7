/**
 * Updates with the real RAUC: bundles of a two-level authority, its service, and slots that are files. What the kernel of
 * the image does is not shown here: dm-verity (so what is written comes from `plain` bundles), streaming by nbd, booting.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ErrorReport } from '../../device/contract/errors.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { Updater, type Rauc, type UpdateView } from '../../device/update/index.ts';
import { serveBundle } from '../harness/bundle-server.ts';
import { createRaucWorld, type RaucWorld } from '../harness/rauc.ts';

const code = (wanted: string) => expect.objectContaining({ code: wanted });
const log = pino({ level: 'silent' });

let world: RaucWorld;
let folder: string;
let views: UpdateView[];
let recording: string | null;
let restarts: number;
let updaters: Updater[];
let source: string | null;
let onView: (view: UpdateView) => void;

beforeAll(async () => {
  world = await createRaucWorld();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-update-'));
  [views, recording, restarts, updaters, source] = [[], null, 0, [], null];
  onView = () => {};
});
afterEach(async () => {
  for (const updater of updaters) await updater.stop();
  await rm(folder, { recursive: true });
});

interface BoxOptions {
  readonly rauc?: Rauc;
  readonly version?: string;
  readonly bootId?: string;
  readonly reasons?: readonly ErrorReport[];
  readonly attempts?: string;
}

async function box({
  rauc = world.rauc,
  version = '1.0.0',
  bootId = 'boot 1',
  reasons = [],
  attempts = '',
}: BoxOptions = {}): Promise<Updater> {
  const updater = new Updater({
    home: { kind: 'image', version },
    rauc,
    folder: join(folder, 'update'),
    stickFolders: [join(folder, 'media')],
    defaultSource: () => source,
    recording: () => recording,
    gateReasons: async () => reasons,
    attempts: async () => attempts,
    restartBox: async () => void restarts++,
    onChange(view) {
      views.push(view);
      onView(view);
    },
    bootId,
    clock: systemClock,
    log,
  });
  updaters.push(updater);
  await updater.start();
  return updater;
}

const HOW = { source: null, now: false, stream: false, reboot: true };
const states = (): readonly string[] =>
  views.map(({ state }) => state).filter((state, at, all) => state !== all[at - 1]);

test('what must not be installed is refused with its reason, and nothing is written', async () => {
  const updater = await box();
  const before = await world.slot('B');
  const whole = await world.bundle({ version: '1.1.0' });
  const truncated = join(folder, 'truncated.raucb');
  await writeFile(truncated, (await readFile(whole)).subarray(0, -5000));
  const refused = {
    UPDATE_UNSIGNED: [await world.unsigned(), await world.bundle({ version: '1.1.0', isForeign: true })],
    UPDATE_TRUNCATED: [truncated],
    UPDATE_WRONG_BOARD: [await world.bundle({ version: '1.1.0', compatible: 'another-board' })],
    UPDATE_OLDER: [await world.bundle({ version: '0.9.9' }), await world.bundle({ version: 'latest' })],
    UPDATE_NOT_FOUND: [join(folder, 'nothing.raucb'), 'usb'],
  };
  for (const [wanted, sources] of Object.entries(refused)) {
    for (const from of sources) {
      await expect(updater.install({ ...HOW, source: from }), from).rejects.toEqual(code(wanted));
    }
  }
  await expect(updater.install({ ...HOW, source: await world.bundle({ version: '1.0.0' }) })).rejects.toEqual(
    code('UPDATE_OLDER'),
  );
  await expect(updater.check(null)).rejects.toEqual(code('UPDATE_SOURCE_MISSING'));
  expect(await world.slot('B')).toEqual(before);
  expect(await world.primary()).toBe('A');
  expect(updater.view.state).toBe('idle');
});

test('of a bundle on a server only its ends are fetched to refuse it, or to say that it is newer', async () => {
  const content = randomBytes(2_000_000);
  await using server = await serveBundle(await readFile(await world.bundle({ version: '1.1.0', content })));
  const updater = await box();
  source = server.url;
  expect(await updater.check(null)).toEqual({
    isNewer: true,
    target: { version: '1.1.0', source: server.url, sizeBytes: server.content.length },
  });
  expect(server.sentBytes).toBeLessThan(300_000);

  server.content = await readFile(await world.bundle({ version: '1.1.0', content, isForeign: true }));
  server.tag = 'foreign';
  server.sentBytes = 0;
  await expect(updater.install({ ...HOW })).rejects.toEqual(code('UPDATE_UNSIGNED'));
  expect(server.sentBytes).toBeLessThan(300_000);
});

test.each([false, true])(
  'over a bad connection a bundle ends in the other slot, which starts next (stream: %s)',
  async (stream) => {
    const content = randomBytes(1_500_000);
    const { path, rauc } = await world.verityBundle({ version: '1.1.0', content });
    await using server = await serveBundle(await readFile(path));
    server.cut = { afterBytes: 400_000, times: 3 };
    const updater = await box({ rauc });
    const target = await updater.install({ ...HOW, source: server.url, stream });
    expect(target.version).toBe('1.1.0');
    await updater.settle();
    expect(updater.view).toMatchObject({
      state: 'installed',
      error: null,
      last: { version: '1.1.0', outcome: 'trial' },
    });
    expect((await world.slot('B')).subarray(0, content.length)).toEqual(content);
    expect(await world.primary()).toBe('B');
    expect(restarts).toBe(1);
    const work = stream ? ['installing'] : ['downloading', 'installing'];
    expect(states()).toEqual(['idle', 'checking', ...work, 'installed']);
    for (const state of work) {
      const progress = views.filter((view) => view.state === state).map(({ progress }) => progress!);
      expect(progress).toEqual(progress.toSorted((a, b) => a - b));
      expect(progress.at(-1)).toBe(1);
    }
    // No copy stays.
    await expect(readFile(join(folder, 'update', 'bundle.raucb'))).rejects.toThrow('ENOENT');

    // The same boot still; then one that kept it, and one that went back.
    expect((await box()).view).toMatchObject({ state: 'installed', last: { outcome: 'trial' } });
    const kept = await box({ version: '1.1.0', bootId: 'boot 2' });
    expect(kept.view).toMatchObject({
      state: 'idle',
      last: { version: '1.1.0', outcome: 'succeeded', reasons: [] },
    });
    const reason = { code: 'GATE_NO_FRAME', message: 'No camera gives pictures.', advice: '' } as const;
    const back = await box({ bootId: 'boot 3', reasons: [reason] });
    expect(back.view.last).toMatchObject({ version: '1.1.0', outcome: 'rolled_back', reasons: [reason] });
    const silent = await box({ bootId: 'boot 3', attempts: 'B 2 started\nB 1 no /var\n' });
    expect(silent.view.last?.reasons).toEqual([
      expect.objectContaining({
        code: 'UPDATE_ROLLED_BACK',
        message: expect.stringContaining('tried 2 times: no /var'),
      }),
    ]);
  },
);

test('the newest bundle for this board on a USB stick is taken', async () => {
  const stick = join(folder, 'media', 'stick', 'spyoncino');
  await mkdir(stick, { recursive: true });
  const content = randomBytes(50_000);
  const put = async (name: string, path: string): Promise<void> =>
    await writeFile(join(stick, name), await readFile(path));
  await put('a.raucb', await world.bundle({ version: '1.1.0' }));
  await put('b.raucb', await world.bundle({ version: '1.10.0', format: 'plain', content }));
  await put('c.raucb', await world.bundle({ version: '2.0.0', compatible: 'another-board' }));
  await put('d.raucb', await world.bundle({ version: '3.0.0', isForeign: true }));
  await writeFile(join(stick, 'e.raucb'), 'not a bundle');
  const updater = await box();
  await updater.install({ ...HOW, source: 'usb', reboot: false });
  await updater.settle();
  expect(updater.view).toMatchObject({ state: 'installed', last: { version: '1.10.0' } });
  expect((await world.slot('B')).subarray(0, content.length)).toEqual(content);
  expect(restarts).toBe(0);
});

test('an event that is being recorded holds it up, unless somebody says so', async () => {
  const path = await world.bundle({ version: '1.1.0', format: 'plain' });
  const updater = await box();
  recording = 'porch';
  await expect(updater.install({ ...HOW, source: path })).rejects.toMatchObject({
    code: 'UPDATE_RECORDING',
    message: expect.stringContaining('porch'),
  });
  await expect(updater.rollback({ now: false, reboot: true })).rejects.toEqual(code('UPDATE_RECORDING'));
  await updater.install({ ...HOW, source: path, now: true });
  await updater.settle();
  expect(restarts).toBe(1);

  // It begins while the bundle is fetched: the slot is not written until it is over.
  recording = null;
  const verity = await world.verityBundle({ version: '1.1.0' });
  await using server = await serveBundle(await readFile(verity.path));
  const waiting = Promise.withResolvers<void>();
  const second = await box({ rauc: verity.rauc });
  onView = ({ state }) => {
    if (state === 'downloading') recording = 'porch';
    if (state === 'waiting') waiting.resolve();
  };
  await second.install({ ...HOW, source: server.url });
  await waiting.promise;
  expect(restarts).toBe(1);
  await expect(second.install({ ...HOW, source: path })).rejects.toEqual(code('UPDATE_RECORDING'));
  await expect(second.check(path)).rejects.toEqual(code('UPDATE_RUNNING'));
  recording = null;
  await second.settle();
  expect(second.view.state).toBe('installed');
  expect(restarts).toBe(2);
});

test('what RAUC cannot install is told, and the box may try again', async () => {
  const updater = await box();
  await world.setStuck(true);
  await updater.install({ ...HOW, source: await world.bundle({ version: '1.1.0', format: 'plain' }) });
  await updater.settle();
  await world.setStuck(false);
  expect(updater.view).toMatchObject({ state: 'idle', target: null, last: null });
  expect(updater.view.error?.code).toMatch(/^UPDATE_/);
  expect(restarts).toBe(0);
  await updater.install({ ...HOW, source: await world.bundle({ version: '1.2.0', format: 'plain' }) });
  await updater.settle();
  expect(updater.view).toMatchObject({ state: 'installed', error: null });
});

test('the way back is into a good slot only', async () => {
  const updater = await box();
  await world.mark('B', 'bad');
  await expect(updater.rollback({ now: false, reboot: true })).rejects.toEqual(code('UPDATE_NO_WAY_BACK'));
  expect(restarts).toBe(0);
  await world.mark('B', 'good');
  expect(await updater.rollback({ now: false, reboot: true })).toMatchObject({ bootName: 'B' });
  expect(await world.primary()).toBe('B');
  expect(restarts).toBe(1);
});
