import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ClipReadyFact } from '../../../device/contract/facts.ts';
import { recoverFootage } from '../../../device/record/index.ts';
import { MEDIA_ID, mountMedia } from '../../harness/media.ts';
import { MemoryDisk } from './memory-disk.ts';
import { quiet, startRig, turns, type RecordFact } from './rig.ts';
import { START_UTC_MS, syntheticStream } from './synthetic.ts';

const GOPS = Array.from({ length: 40 }, () => 10);
const at = (seconds: number): number => START_UTC_MS + seconds * 1000;
const idsOf = (fact: RecordFact): readonly string[] => ('clip' in fact ? fact.clip.eventIds : []);

test('continuous recording needs no event; a file ends at a key frame and the next begins with it', async () => {
  await using rig = await startRig({ mode: 'continuous', segmentMs: 10_000 }, new MemoryDisk());
  await rig.play(syntheticStream({ gops: GOPS, audio: true }));
  await rig.recorder.close();
  const segments = rig.segments();
  expect(segments.length).toBeGreaterThanOrEqual(4);
  expect(segments[0]!.segment.path).toMatch(
    /^media\/segments\/porch\/2026-11-23\/20261123T101530\.123Z-7-1\.mp4$/,
  );
  expect(segments.flatMap(({ coverage }) => coverage[0]!.startUtcMs)).toEqual([
    at(0),
    ...segments.slice(0, -1).map(({ coverage }) => coverage[0]!.endUtcMs),
  ]);
  expect(segments.at(-1)!.coverage[0]!.endUtcMs).toBe(at(40));
  for (const { segment } of segments.slice(1, -1)) expect(segment.durationMs).toBe(10_000);
  const { mp4 } = await rig.read(segments[1]!);
  const { segmentId: id, startUtcMs } = segments[1]!.segment;
  expect(mp4.notes).toEqual([
    { kind: 'segment', id, camera_id: 'porch', start_ts: startUtcMs, event_ids: [] },
  ]);
  expect(rig.meter.counts.get('spyoncino_footage_closed_total segment')).toBe(segments.length);
});

test('in continuous recording a clip is a range: told when it has begun and when it is durable, without a file', async () => {
  const settings = { mode: 'continuous', preRollMs: 2000, postRollMs: 3000 } as const;
  await using rig = await startRig(settings, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: GOPS });
  await rig.play({ info, packets: packets.slice(0, 152) });
  rig.recorder.openEvent('a', at(15.1));
  expect(rig.facts.filter(({ type }) => type === 'clip.partial')).toEqual([]);
  await rig.play({ info, packets: packets.slice(152, 170) });
  const partial = await rig.until('clip.partial');
  expect(partial.clip).toMatchObject({ eventIds: ['a'], path: null, startUtcMs: at(13.1), sizeBytes: 0 });
  rig.recorder.closeEvent('a', at(16));
  await rig.play({ info, packets: packets.slice(170, 200) });
  const ready = await rig.until('clip.ready');
  expect(ready).toMatchObject({ sha256: null, recovered: false, clip: { path: null, durationMs: 5900 } });
  expect(ready.clip.clipId).toBe(partial.clip.clipId);
  expect(ready.coverage).toEqual([{ startUtcMs: at(13.1), endUtcMs: at(19) }]);
  // At 20 s: within a second of the end of the post-roll.
  expect(rig.clock.utcMs()).toBeLessThanOrEqual(at(20));
  expect(rig.meter.counts.get('spyoncino_footage_closed_total clip')).toBe(1);
});

test('ranges of events that overlap are one clip, and a long one goes on in another', async () => {
  const settings = { mode: 'continuous', preRollMs: 1000, postRollMs: 1000, maxClipMs: 10_000 } as const;
  await using rig = await startRig(settings, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: GOPS });
  await rig.play({ info, packets: packets.slice(0, 50) });
  rig.recorder.openEvent('short', at(4));
  rig.recorder.openEvent('long', at(4.5));
  rig.recorder.closeEvent('short', at(6));
  await rig.play({ info, packets: packets.slice(50, 200) });
  rig.recorder.closeEvent('long', at(19));
  await rig.play({ info, packets: packets.slice(200, 300) });
  expect(rig.ready().map(idsOf)).toEqual([['short', 'long'], ['long']]);
  expect(rig.ready().map(({ coverage }) => coverage)).toEqual([
    [{ startUtcMs: at(3), endUtcMs: at(13) }],
    [{ startUtcMs: at(13), endUtcMs: at(20) }],
  ]);
});

test('a silent camera does not keep a clip from being complete', async () => {
  await using rig = await startRig({ mode: 'continuous', postRollMs: 5000 }, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: [60] });
  await rig.play({ info, packets });
  rig.recorder.openEvent('e', at(5));
  rig.recorder.closeEvent('e', at(5.5));
  for (let i = 0; i < 100; i++) {
    rig.clock.advance(100);
    await turns();
  }
  const ready = await rig.until('clip.ready');
  expect(ready.coverage).toEqual([{ startUtcMs: at(0), endUtcMs: at(6) }]);
});

test('motion recording holds whole GOPs around motion and events, none of them twice', async () => {
  const settings = { mode: 'motion', preRollMs: 2000, postRollMs: 1500, segmentMs: 60_000 } as const;
  await using rig = await startRig(settings, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: GOPS });
  const play = (from: number, to: number) => rig.play({ info, packets: packets.slice(from * 10, to * 10) });
  await play(0, 6);
  rig.recorder.motion('start', at(5.5));
  await play(6, 8);
  rig.recorder.motion('end', at(7.5));
  await play(8, 11);
  // Its pre-roll reaches into what the first segment holds already.
  rig.recorder.openEvent('e', at(10.5));
  rig.recorder.closeEvent('e', at(11));
  await play(11, 20);
  rig.recorder.motion('start', at(19.5));
  await play(20, 22);
  await rig.recorder.close();
  expect(rig.segments().map(({ coverage }) => coverage)).toEqual([
    [{ startUtcMs: at(3), endUtcMs: at(9) }],
    [{ startUtcMs: at(9), endUtcMs: at(13) }],
    [{ startUtcMs: at(17), endUtcMs: at(22) }],
  ]);
  const [clip] = rig.ready();
  expect(clip!.coverage).toEqual([{ startUtcMs: at(8.5), endUtcMs: at(12.5) }]);
});

test.for(['events', 'continuous'] as const)('mode %s does not record motion', async (mode) => {
  await using rig = await startRig({ mode }, new MemoryDisk());
  rig.recorder.motion('start', at(0));
  await rig.play(syntheticStream({ gops: [20] }));
  await rig.recorder.close();
  expect(rig.segments()).toHaveLength(mode === 'continuous' ? 1 : 0);
  expect(rig.ready()).toEqual([]);
});

test('with recording switched off nothing is written in any mode', async () => {
  for (const mode of ['continuous', 'motion'] as const) {
    await using rig = await startRig({ mode, enabled: false }, new MemoryDisk());
    rig.recorder.motion('start', at(0));
    rig.recorder.openEvent('e', at(0));
    await rig.play(syntheticStream({ gops: [20] }));
    rig.recorder.closeEvent('e', at(1));
    await rig.recorder.close();
    expect(rig.facts).toEqual([]);
  }
});

test('every write begins and ends with a page, and is synced once', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ mode: 'continuous', segmentMs: 600_000 }, disk);
  const { info, packets } = syntheticStream({ gops: GOPS, bytes: 3000, audio: true });
  let known = 0;
  for (const packet of packets) {
    await rig.play({ info, packets: [packet] });
    const [file] = disk.files.values();
    if (!file || file.bytes.byteLength === known) continue;
    expect(file.bytes.byteLength % 4096).toBe(0);
    known = file.bytes.byteLength;
  }
  expect(known).toBeGreaterThan(1_000_000);
  expect(disk.syncs).toBeLessThanOrEqual(40 + 3);
});

test('a file is synced once a second, and its index with its last pictures', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ mode: 'continuous', segmentMs: 10_000 }, disk);
  await rig.play(syntheticStream({ gops: Array.from({ length: 60 }, () => 10) }));
  await rig.recorder.close();
  expect(rig.segments()).toHaveLength(6);
  // Where one ends and the next begins, both are written in the same second.
  expect(disk.syncs).toBeLessThanOrEqual(60 + 6 + 2);
});

describe('a clip that ranges over segments whose recorder died', () => {
  const settings = { mode: 'continuous', preRollMs: 2000, postRollMs: 1000, segmentMs: 10_000 } as const;
  const { info, packets } = syntheticStream({ gops: GOPS });

  interface Aftermath {
    readonly told: readonly RecordFact[];
    /** Clips that a later process completes. */
    readonly completed: readonly ClipReadyFact[];
  }

  /** An event from 12 s on, or to `endSeconds`; no picture comes after the `pictures`th. */
  async function aftermath(
    pictures: number,
    end: 'killed' | 'closed',
    endSeconds?: number,
    stuck?: 'rename',
  ): Promise<Aftermath> {
    const disk = new MemoryDisk();
    disk.fault = (operation) => {
      if (operation === stuck) throw new Error('files do not get their last name');
    };
    await using rig = await startRig(settings, disk);
    await rig.play({ info, packets: packets.slice(0, 121) });
    rig.recorder.openEvent('e', at(12));
    if (endSeconds !== undefined) rig.recorder.closeEvent('e', at(endSeconds));
    await rig.play({ info, packets: packets.slice(121, pictures) });
    if (end === 'closed') await rig.recorder.close();
    const told = [...rig.facts];
    await mountMedia(rig.dataDir);
    for (const path of disk.files.keys()) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, disk.read(path));
    }
    disk.fault = () => {};
    const facts: RecordFact[] = [];
    await recoverFootage(
      {
        ...{ cameraId: 'porch', dataDir: rig.dataDir, mediaId: MEDIA_ID, run: 'next' },
        ...{ clock: rig.clock, log: quiet, emit: (fact: RecordFact) => facts.push(fact) },
      },
      new AbortController().signal,
    );
    return { told, completed: facts.filter((fact) => fact.type === 'clip.ready') };
  }

  const clipTold = ({ told }: Aftermath): string | undefined =>
    told.find((fact) => fact.type === 'clip.partial')?.clip.clipId;

  test('is completed as far as there is footage, under the id that was told', async () => {
    const after = await aftermath(175, 'killed');
    const [clip] = after.completed;
    expect(after.completed).toHaveLength(1);
    const endUtcMs = clip!.coverage[0]!.endUtcMs;
    expect(clip).toEqual({
      type: 'clip.ready',
      clip: {
        ...{ clipId: clipTold(after), cameraId: 'porch', eventIds: ['e'], path: null, sizeBytes: 0 },
        ...{ startUtcMs: at(10), durationMs: endUtcMs - at(10) },
      },
      ...{ sha256: null, recovered: true, coverage: [{ startUtcMs: at(10), endUtcMs }] },
    });
    expect(endUtcMs).toBeGreaterThan(at(16.4));
    expect(endUtcMs).toBeLessThanOrEqual(at(17.5));
  });

  test('wherever in a file it died, is completed once', async () => {
    for (let pictures = 145; pictures < 240; pictures += 3) {
      const after = await aftermath(pictures, 'killed');
      expect(after.completed, `after ${pictures} pictures`).toMatchObject([
        { clip: { clipId: clipTold(after) } },
      ]);
      expect(after.completed[0]!.coverage.at(-1)!.endUtcMs).toBeGreaterThan(at(pictures / 10 - 1.2));
    }
  });

  test('is told once when it died while one file was being ended and the next begun', async () => {
    // The first file ends at 14 s: one clip lies in it, the other goes on.
    for (const endSeconds of [12.5, undefined]) {
      const after = await aftermath(160, 'killed', endSeconds, 'rename');
      const told = after.told.find((fact) => fact.type === 'clip.ready');
      expect(after.completed).toHaveLength(1);
      expect(after.completed[0]!.clip.clipId).toBe(clipTold(after));
      if (endSeconds !== undefined) expect(after.completed).toEqual([{ ...told, recovered: true }]);
      else expect(after.completed[0]!.coverage.at(-1)!.endUtcMs).toBeGreaterThan(at(14.8));
    }
  });

  test('is told as it was when it was complete, or the recorder was closed', async () => {
    for (const after of [
      await aftermath(170, 'killed', 15),
      await aftermath(190, 'killed', 15),
      await aftermath(175, 'closed'),
    ]) {
      const told = after.told.filter((fact) => fact.type === 'clip.ready');
      expect(told).toHaveLength(1);
      expect(after.completed).toEqual([{ ...told[0], recovered: true }]);
    }
  });
});
