import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MediaPacket } from '../../../device/contract/media.ts';
import { MemoryDisk, type DiskOperation } from './memory-disk.ts';
import { readMp4 } from './mp4.ts';
import { pathOf, startRig, turns, type Rig } from './rig.ts';
import { START_UTC_MS, syntheticStream } from './synthetic.ts';

const full = (): Error => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });

/** 40 s at 10 pictures a second, in GOPs of one second. */
const plan = { gops: Array.from({ length: 40 }, () => 10), bytes: 1000 };

const at = (seconds: number): number => START_UTC_MS + seconds * 1000;

/** Plays `stream` and calls each hook when its second has come. */
async function playWith(
  rig: Rig,
  stream: ReturnType<typeof syntheticStream>,
  hooks: Readonly<Record<number, () => void>>,
): Promise<void> {
  const left = new Map(Object.entries(hooks).map(([seconds, hook]) => [at(Number(seconds)), hook]));
  for (const packet of stream.packets) {
    for (const [utcMs, hook] of left) {
      if (packet.utcMs < utcMs) continue;
      left.delete(utcMs);
      hook();
      await turns();
    }
    await rig.play({ info: stream.info, packets: [packet] });
  }
}

const stored = (rig: Rig, disk: MemoryDisk): readonly string[] =>
  [...rig.segments(), ...rig.ready().filter(({ clip }) => clip.path !== null)]
    .flatMap((fact) => readMp4(disk.read(pathOf(rig.dataDir, fact))).tracks[0]!.samples)
    .map(nameOf);

const nameOf = ({ data }: { readonly data: Uint8Array }): string => Buffer.from(data).toString('latin1');

test.for(['makeDirectory', 'create', 'write', 'sync'] as const)(
  'nothing is lost while %s fails for shorter than the buffer lasts',
  async (failing) => {
    const disk = new MemoryDisk();
    disk.tornBytes = 333;
    await using rig = await startRig({ preRollMs: 2000, postRollMs: 2000 }, disk);
    const stream = syntheticStream(plan);
    await playWith(rig, stream, {
      9: () => {
        disk.fault = (operation) => {
          if (operation === failing) throw full();
        };
      },
      10: () => rig.recorder.openEvent('e', at(10)),
      20: () => (disk.fault = () => {}),
      25: () => rig.recorder.closeEvent('e', at(25)),
    });
    const ready = await rig.until('clip.ready');
    expect(rig.gaps()).toEqual([]);
    expect(stored(rig, disk)).toEqual(stream.packets.slice(80, 270).map(nameOf));
    expect(ready.coverage).toEqual([{ startUtcMs: at(8), endUtcMs: at(27) }]);
    const { bytes, durable } = disk.files.get(pathOf(rig.dataDir, ready))!;
    expect(durable.equals(bytes)).toBe(true);
  },
);

test('footage of a growing clip survives a failed sync: it is written again', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ preRollMs: 2000, postRollMs: 2000 }, disk);
  const stream = syntheticStream(plan);
  let failures = 0;
  await playWith(rig, stream, {
    10: () => rig.recorder.openEvent('e', at(10)),
    15: () => {
      disk.fault = (operation) => {
        if (operation !== 'sync' || failures++ > 2) return;
        // What Linux does after a failed writeback: pages are clean and lost.
        for (const file of disk.files.values()) file.bytes = Buffer.from(file.durable);
        throw Object.assign(new Error('i/o error'), { code: 'EIO' });
      };
    },
    25: () => rig.recorder.closeEvent('e', at(25)),
  });
  await rig.until('clip.ready');
  expect(failures).toBeGreaterThan(2);
  expect(stored(rig, disk)).toEqual(stream.packets.slice(80, 270).map(nameOf));
});

test('on a slow disk as well, what was received more than a second ago is durable', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ preRollMs: 0, postRollMs: 1000, maxClipMs: 60_000 }, disk);
  disk.fault = (operation) => (operation === 'sync' ? rig.clock.sleep(300) : undefined);
  const stream = syntheticStream(plan);
  rig.recorder.openEvent('e', at(0));
  const notDurableMs: number[] = [];
  for (const [index, packet] of stream.packets.entries()) {
    await rig.play({ info: stream.info, packets: [packet] });
    const [file] = disk.files.values();
    const durable = file?.durable.byteLength ? (readMp4(file.durable).tracks[0]?.samples.length ?? 0) : 0;
    notDurableMs.push((index + 1 - durable) * 100);
  }
  disk.fault = () => {};
  rig.clock.advance(1000);
  // The disk is known by then.
  expect(Math.max(...notDurableMs.slice(20))).toBeLessThanOrEqual(1000);
});

test('a stuck write costs the oldest unwritten footage, and says so; memory stays bounded', async () => {
  const disk = new MemoryDisk();
  const bufferBytes = 100_000;
  await using rig = await startRig({ preRollMs: 2000, postRollMs: 2000, bufferBytes }, disk);
  const stream = syntheticStream(plan);
  const stuck = Promise.withResolvers<void>();
  await playWith(rig, stream, {
    10: () => rig.recorder.openEvent('e', at(10)),
    12: () => {
      disk.fault = (operation) => (operation === 'write' ? stuck.promise : undefined);
    },
    35: () => {
      disk.fault = () => {};
      stuck.resolve();
    },
    36: () => rig.recorder.closeEvent('e', at(36)),
  });
  const ready = await rig.until('clip.ready');
  const gaps = rig.gaps();
  // What goes on is told in pieces, one behind the other.
  expect(gaps.length).toBeLessThanOrEqual(3);
  expect(gaps.slice(1).map(({ startUtcMs }) => startUtcMs)).toEqual(
    gaps.slice(0, -1).map(({ endUtcMs }) => endUtcMs),
  );
  expect(gaps.every(({ reason }) => reason.code === 'DISK_TOO_SLOW')).toBe(true);
  const lost = stream.packets.filter(({ utcMs }) => isIn(gaps, utcMs));
  const wanted = stream.packets.slice(80, 380);
  expect(stored(rig, disk)).toEqual(wanted.filter((packet) => !lost.includes(packet)).map(nameOf));
  expect(rig.meter.counts.get('spyoncino_drops_total record disk_slow')).toBe(lost.length);
  expect(ready.coverage).toEqual([
    { startUtcMs: at(8), endUtcMs: gaps[0]!.startUtcMs },
    { startUtcMs: gaps.at(-1)!.endUtcMs, endUtcMs: at(38) },
  ]);
  const heldSeconds = (at(35) - gaps.at(-1)!.endUtcMs) / 1000;
  expect(heldSeconds * 10 * 1004).toBeLessThanOrEqual(bufferBytes);
});

test('a stuck write during one endless GOP stays within the buffer, and the loss lasts to the next key frame', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ preRollMs: 0, postRollMs: 2000, bufferBytes: 60_000 }, disk);
  const stream = syntheticStream({ gops: [300, 100], bytes: 1000 });
  const stuck = Promise.withResolvers<void>();
  await playWith(rig, stream, {
    1: () => rig.recorder.openEvent('e', at(1)),
    2: () => {
      disk.fault = (operation) => (operation === 'write' ? stuck.promise : undefined);
    },
    28: () => {
      disk.fault = () => {};
      stuck.resolve();
    },
    35: () => rig.recorder.closeEvent('e', at(35)),
  });
  const ready = await rig.until('clip.ready');
  const gaps = rig.gaps();
  expect(gaps.at(-1)!.endUtcMs).toBe(at(30));
  expect(ready.coverage).toEqual([
    { startUtcMs: at(0), endUtcMs: gaps[0]!.startUtcMs },
    { startUtcMs: at(30), endUtcMs: at(37) },
  ]);
});

test('a disk that never works costs the footage, not the recorder', async () => {
  const disk = new MemoryDisk();
  disk.fault = () => {
    throw full();
  };
  await using rig = await startRig({ bufferBytes: 100_000 }, disk);
  const stream = syntheticStream(plan);
  await playWith(rig, stream, {
    10: () => rig.recorder.openEvent('e', at(10)),
    30: () => rig.recorder.closeEvent('e', at(30)),
  });
  await rig.recorder.close();
  expect(rig.ready()).toEqual([]);
  const wanted = stream.packets.filter(({ utcMs }) => utcMs >= at(5) && utcMs < at(35));
  expect(wanted.filter(({ utcMs }) => !isIn(rig.gaps(), utcMs))).toEqual([]);
  expect(new Set(rig.gaps().map(({ reason }) => reason.code))).toEqual(new Set(['DISK_FULL']));
});

test('a disk that fills up at the very end still gets a finished clip', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ preRollMs: 2000 }, disk);
  const stream = syntheticStream(plan);
  await playWith(rig, stream, {
    10: () => rig.recorder.openEvent('e', at(10)),
    20: () => {
      disk.tornBytes = 7;
      disk.fault = (operation) => {
        if (operation === 'write') throw full();
      };
    },
  });
  await rig.recorder.close();
  const ready = await rig.until('clip.ready');
  const { sha256, coverage } = ready;
  const { mp4 } = await rig.read(ready);
  expect(mp4.randomAccess).toEqual([]);
  expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  const lost = stream.packets.slice(80).filter(({ utcMs }) => isIn(rig.gaps(), utcMs));
  expect(mp4.tracks[0]!.samples.length + lost.length).toBe(320);
  expect(coverage.at(-1)!.endUtcMs).toBe(rig.gaps()[0]!.startUtcMs);
});

test('whatever the disk does, wanted footage is stored once and in order, or told as lost', async () => {
  const operations: readonly DiskOperation[] = [
    'makeDirectory',
    'create',
    'write',
    'sync',
    'reopen',
    'rename',
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        failures: fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }),
        operation: fc.constantFrom(...operations),
        tornBytes: fc.nat(3000),
        gops: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 5, maxLength: 12 }),
        bufferBytes: fc.integer({ min: 5000, max: 60_000 }),
        maxClipMs: fc.constantFrom(3000, 600_000),
        mode: fc.constantFrom('events' as const, 'continuous' as const),
      }),
      async ({ failures, operation: only, tornBytes, gops, bufferBytes, maxClipMs, mode }) => {
        const disk = new MemoryDisk();
        disk.tornBytes = tornBytes;
        let i = 0;
        disk.fault = (operation) => {
          if (failures[i++] && (operation === only || operation === 'write')) throw full();
        };
        const settings = { mode, preRollMs: 0, bufferBytes, maxClipMs, segmentMs: maxClipMs };
        await using rig = await startRig(settings, disk);
        rig.recorder.openEvent('e', START_UTC_MS);
        const stream = syntheticStream({ gops, bytes: 500 });
        await rig.play(stream);
        disk.fault = () => {};
        for (let n = 0; n < 40; n++) {
          rig.clock.advance(1000);
          await turns();
        }
        await rig.recorder.close();
        const kept = stored(rig, disk);
        const untold = stream.packets.filter(({ utcMs }) => !isIn(rig.gaps(), utcMs));
        expect(kept).toEqual(untold.map(nameOf));
      },
    ),
    { numRuns: 100 },
  );
});

const isIn = (
  gaps: readonly { readonly startUtcMs: number; readonly endUtcMs: number }[],
  utcMs: MediaPacket['utcMs'],
): boolean => gaps.some(({ startUtcMs, endUtcMs }) => utcMs >= startUtcMs - 0.5 && utcMs < endUtcMs - 0.5);

test('a GOP larger than the buffer is recorded whole while the disk keeps up', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ preRollMs: 0, postRollMs: 2000, bufferBytes: 40_000 }, disk);
  const stream = syntheticStream({ gops: [200], bytes: 1000, audio: true });
  await playWith(rig, stream, {
    1: () => rig.recorder.openEvent('e', at(0)),
    17: () => rig.recorder.closeEvent('e', at(17)),
  });
  await rig.until('clip.ready');
  const pictures = stream.packets.filter(({ track }) => track === 'video');
  expect(rig.gaps()).toEqual([]);
  expect(stored(rig, disk)).toEqual(pictures.slice(0, 190).map(nameOf));
  expect(rig.recorder.gopAt(at(17))).toBeNull();
});
