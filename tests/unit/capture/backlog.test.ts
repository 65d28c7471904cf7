import { Packet } from 'node-av/lib';
import { afterEach, expect, test } from 'vitest';
import { Backlog } from '../../../device/capture/backlog.ts';
import { ManualClock } from '../record/manual-clock.ts';

const START_UTC_MS = Date.UTC(2026, 0, 1);
const FRAME_MS = 100;
const open: Packet[] = [];
afterEach(() => {
  for (const packet of open.splice(0)) packet.free();
});

/** Work on one packet at a time, which ends when the test says so. */
function rig() {
  const clock = new ManualClock(START_UTC_MS);
  const worked: string[] = [];
  const arrivals: number[] = [];
  const strains: boolean[] = [];
  const failures: unknown[] = [];
  let lost = 0;
  let gate = Promise.withResolvers<void>();
  const backlog = new Backlog({
    clock,
    async work(packet, track, arrivedUtcMs) {
      worked.push(`${track} ${packet.pts}`);
      arrivals.push(arrivedUtcMs);
      await gate.promise;
    },
    onFailure: (error) => failures.push(error),
    onLoss: (pictures) => (lost += pictures),
    onStrain: (strained) => strains.push(strained),
  });
  const turns = async (): Promise<void> => {
    for (let n = 0; n < 5; n++) await Promise.resolve();
  };
  return {
    clock,
    backlog,
    worked,
    arrivals,
    strains,
    failures,
    lost: () => lost,
    pass: (ms: number) => clock.advanceTo(clock.utcMs() + ms),
    push: (n: number, { key = false, track = 'video', bytes = 100 }: Given = {}): void =>
      backlog.push(packetOf(n, key, bytes), track),
    /** The packet in work is done, or fails. */
    step: async (failure?: Error): Promise<void> => {
      const current = gate;
      gate = Promise.withResolvers();
      if (failure) current.reject(failure);
      else current.resolve();
      await turns();
    },
    /** From now on work takes no time. */
    release: async (): Promise<void> => {
      gate.resolve();
      await turns();
    },
  };
}

interface Given {
  readonly key?: boolean;
  readonly track?: 'video' | 'audio';
  readonly bytes?: number;
}

function packetOf(pts: number, key: boolean, bytes: number): Packet {
  const packet = new Packet();
  packet.alloc();
  packet.data = Buffer.alloc(bytes);
  packet.pts = BigInt(pts);
  packet.isKeyframe = key;
  open.push(packet);
  return packet;
}

test('work that keeps up loses nothing, keeps the order of both tracks, and knows when each came', async () => {
  const { backlog, worked, arrivals, strains, lost, pass, push, release } = rig();
  await release();
  for (let n = 0; n < 20; n++) {
    push(n, { key: n === 0, track: n % 4 === 3 ? 'audio' : 'video' });
    pass(FRAME_MS);
  }
  await backlog.finish(async () => void worked.push('last'));
  expect(worked).toEqual([
    ...Array.from({ length: 20 }, (_, n) => `${n % 4 === 3 ? 'audio' : 'video'} ${n}`),
    'last',
  ]);
  expect(arrivals).toEqual(Array.from({ length: 20 }, (_, n) => START_UTC_MS + n * FRAME_MS));
  expect([lost(), strains]).toEqual([0, []]);
});

test('it is late when packets wait, and no longer when they do not', async () => {
  const { backlog, pass, push, step } = rig();
  push(0, { key: true });
  push(1);
  expect(backlog.late).toBe(false);
  pass(301);
  expect(backlog.late).toBe(true);
  await step();
  expect(backlog.late).toBe(false);
  const finished = backlog.finish(async () => {});
  await step();
  await finished;
});

test('footage that waits too long is given up to the next key frame, its sound is not', async () => {
  const { backlog, worked, strains, lost, pass, push, release } = rig();
  for (let n = 0; n <= 30; n++) {
    push(n, { key: n % 15 === 0 });
    if (n === 5) push(1000, { track: 'audio' });
    pass(FRAME_MS);
  }
  await release();
  await backlog.finish(async () => {});
  expect(worked).toEqual(['video 0', 'audio 1000', 'video 30']);
  expect(lost()).toBe(29);
  // This may have been a hiccup.
  expect(strains).toEqual([]);
});

test('memory is bounded whatever the bitrate', async () => {
  const { backlog, lost, push, release } = rig();
  for (let n = 0; n < 100; n++) push(n, { key: true, bytes: 1_000_000 });
  // 16 MB, the packet in work, and the one that came last.
  expect(100 - lost()).toBeLessThanOrEqual(19);
  expect(lost()).toBeGreaterThan(0);
  await release();
  await backlog.finish(async () => {});
});

test('work that hangs does not let sound pile up either', async () => {
  const { backlog, worked, pass, push, release } = rig();
  push(0, { key: true });
  for (let n = 1; n <= 300; n++) {
    push(n, { track: 'audio' });
    pass(FRAME_MS);
  }
  await release();
  await backlog.finish(async () => {});
  expect(worked).toHaveLength(102);
});

test('losses that go on are a strain, which ends when nothing was lost for a while', async () => {
  const { backlog, strains, pass, push, release } = rig();
  await release();
  backlog.lose(1);
  pass(3001);
  expect(strains).toEqual([]);
  backlog.lose(1);
  pass(29_000);
  push(0, { key: true });
  expect(strains).toEqual([true]);
  pass(1000);
  push(1);
  expect(strains).toEqual([true, false]);
  await backlog.finish(async () => {});
});

test('after a failure nothing more is worked on, also not the last', async () => {
  const { backlog, worked, failures, push, step } = rig();
  const error = new Error('decoder');
  for (let n = 0; n < 3; n++) push(n, { key: true });
  await step(error);
  push(3, { key: true });
  await backlog.finish(async () => void worked.push('last'));
  expect(worked).toEqual(['video 0']);
  expect(failures).toEqual([error]);
});

test('a last step that fails is told', async () => {
  const { backlog, failures } = rig();
  const error = new Error('flush');
  await backlog.finish(async () => {
    throw error;
  });
  expect(failures).toEqual([error]);
});
