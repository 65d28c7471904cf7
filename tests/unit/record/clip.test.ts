import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import type { MediaPacket } from '../../../device/contract/media.ts';
import { MemoryDisk } from './memory-disk.ts';
import { readMp4 } from './mp4.ts';
import { pathOf, startRig, turns, type RecordFact } from './rig.ts';
import { START_UTC_MS, syntheticStream, VIDEO } from './synthetic.ts';

const videoOf = (packets: readonly MediaPacket[]): readonly MediaPacket[] =>
  packets.filter(({ track }) => track === 'video');

test('a clip holds every packet from the key frame before the pre-roll to the end of the post-roll', async () => {
  await using rig = await startRig({ preRollMs: 2000, postRollMs: 3000 });
  const { info, packets } = syntheticStream({ gops: Array.from({ length: 20 }, () => 10), audio: true });
  const cut = packets.findIndex(({ utcMs }) => utcMs >= START_UTC_MS + 7500);
  await rig.play({ info, packets: packets.slice(0, cut) });
  rig.recorder.openEvent('e1', START_UTC_MS + 7200);
  const partial = await rig.until('clip.partial');
  expect(partial.clip.eventIds).toEqual(['e1']);
  expect(partial.clip.path).toMatch(
    /^media\/clips\/porch\/2026-11-23\/20261123T101535\.123Z-7-1\.part\.mp4$/,
  );
  expect((await rig.read(partial)).mp4.tracks[0]!.samples.length).toBeGreaterThan(20);
  rig.recorder.closeEvent('e1', START_UTC_MS + 8000);
  await rig.play({ info, packets: packets.slice(cut) });

  const ready = await rig.until('clip.ready');
  const { bytes, mp4 } = await rig.read(ready);
  expect(ready.clip.path).toBe('media/clips/porch/2026-11-23/20261123T101535.123Z-7-1.mp4');
  expect(ready.clip.startUtcMs).toBe(START_UTC_MS + 5000);
  expect(ready.clip.durationMs).toBe(6000);
  expect(ready.clip.sizeBytes).toBe(bytes.byteLength);
  expect(ready.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
  expect(ready.coverage).toEqual([{ startUtcMs: START_UTC_MS + 5000, endUtcMs: START_UTC_MS + 11_000 }]);
  expect(ready.recovered).toBe(false);
  const expected = videoOf(packets).slice(50, 110);
  expect(mp4.tracks[0]!.samples.map(({ data }) => data.toString('hex'))).toEqual(
    expected.map(({ data }) => Buffer.from(data).toString('hex')),
  );
  const sound = mp4.tracks[1]!.samples.map(({ data }) => data.toString());
  const soundExpected = packets.filter(
    ({ track, utcMs }) => track === 'audio' && utcMs >= START_UTC_MS + 5000 && utcMs < START_UTC_MS + 11_000,
  );
  expect(sound).toEqual(soundExpected.map(({ data }) => Buffer.from(data).toString()));
  expect(await readdir(dirname(pathOf(rig.dataDir, ready)))).toHaveLength(1);
});

const GOPS = Array.from({ length: 20 }, () => 10);
const at = (seconds: number): number => START_UTC_MS + seconds * 1000;

test('events that overlap share a clip, which lasts until the last of them is over', async () => {
  await using rig = await startRig({ preRollMs: 1000, postRollMs: 2000 }, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: GOPS });
  await rig.play({ info, packets: packets.slice(0, 50) });
  rig.recorder.openEvent('a', at(4));
  await rig.play({ info, packets: packets.slice(50, 80) });
  rig.recorder.closeEvent('a', at(7));
  rig.recorder.openEvent('b', at(8));
  await rig.play({ info, packets: packets.slice(80, 120) });
  rig.recorder.closeEvent('b', at(11));
  await rig.play({ info, packets: packets.slice(120) });

  const ready = await rig.until('clip.ready');
  const partial = rig.facts.filter(({ type }) => type === 'clip.partial').map(idsOf);
  expect(partial).toEqual([['a'], ['a', 'b']]);
  expect(idsOf(ready)).toEqual(['a', 'b']);
  expect(ready.coverage).toEqual([{ startUtcMs: at(3), endUtcMs: at(13) }]);
  const { notes } = (await rig.read(ready)).mp4;
  const note = { kind: 'clip', id: ready.clip.clipId, camera_id: 'porch', start_ts: at(3) };
  expect(notes).toEqual([
    { ...note, event_ids: ['a'] },
    { ...note, event_ids: ['a', 'b'] },
  ]);
});

test('an event after the post-roll has a clip of its own, with its own pre-roll', async () => {
  await using rig = await startRig({ preRollMs: 3000, postRollMs: 1000 }, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: GOPS });
  await rig.play({ info, packets: packets.slice(0, 50) });
  rig.recorder.openEvent('a', at(4));
  rig.recorder.closeEvent('a', at(5));
  await rig.play({ info, packets: packets.slice(50, 80) });
  rig.recorder.openEvent('b', at(7));
  rig.recorder.closeEvent('b', at(8));
  await rig.play({ info, packets: packets.slice(80) });
  const [first, second] = [await rig.until('clip.ready'), await rig.until('clip.ready')];
  expect([idsOf(first), idsOf(second)]).toEqual([['a'], ['b']]);
  expect(first.coverage).toEqual([{ startUtcMs: at(1), endUtcMs: at(6) }]);
  expect(second.coverage).toEqual([{ startUtcMs: at(4), endUtcMs: at(9) }]);
});

test('a long clip goes on in a new file, which names only the events that it shows', async () => {
  const settings = { preRollMs: 1000, postRollMs: 1000, maxClipMs: 4500 };
  await using rig = await startRig(settings, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: GOPS });
  await rig.play({ info, packets: packets.slice(0, 30) });
  rig.recorder.openEvent('short', at(2));
  rig.recorder.openEvent('long', at(2));
  rig.recorder.closeEvent('short', at(3));
  await rig.play({ info, packets: packets.slice(30, 140) });
  rig.recorder.closeEvent('long', at(14));
  await rig.play({ info, packets: packets.slice(140) });
  await rig.recorder.close();
  expect(rig.ready().map(({ coverage }) => coverage)).toEqual([
    [{ startUtcMs: at(1), endUtcMs: at(6) }],
    [{ startUtcMs: at(6), endUtcMs: at(11) }],
    [{ startUtcMs: at(11), endUtcMs: at(15) }],
  ]);
  expect(rig.ready().map(idsOf)).toEqual([['short', 'long'], ['long'], ['long']]);
});

test('a reconnect is a gap in the same file, as long as the outage; a changed stream is a new file', async () => {
  await using rig = await startRig({ preRollMs: 0 }, new MemoryDisk());
  rig.recorder.openEvent('e', at(0));
  await rig.play(syntheticStream({ gops: [20, 20], audio: true }));
  await rig.play(syntheticStream({ generation: 2, startUtcMs: at(9), gops: [20], audio: true }));
  const video = { ...VIDEO, width: 1920, config: Uint8Array.of(1, 2, 3) };
  await rig.play(syntheticStream({ generation: 3, startUtcMs: at(14), gops: [20], video }));
  await rig.recorder.close();
  const [first, second] = rig.ready();
  expect(first!.coverage).toEqual([
    { startUtcMs: at(0), endUtcMs: at(4) },
    { startUtcMs: at(9), endUtcMs: at(11) },
  ]);
  expect(first!.clip.durationMs).toBe(11_000);
  expect(second!.coverage).toEqual([{ startUtcMs: at(14), endUtcMs: at(16) }]);
  const [resumed] = (await rig.read(first!)).mp4.tracks[0]!.samples.slice(40);
  expect(resumed!.dts / VIDEO.timescale).toBe(9);
  const [changed] = (await rig.read(second!)).mp4.tracks;
  expect(changed!.width).toBe(1920);
  expect([...changed!.configs.get('avcC')!]).toEqual([1, 2, 3]);
});

test('a clip ends on time when the stream has fallen silent', async () => {
  await using rig = await startRig({ preRollMs: 0, postRollMs: 2000 }, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: [40] });
  rig.recorder.openEvent('e', at(0));
  await rig.play({ info, packets });
  rig.recorder.closeEvent('e', at(3));
  for (let i = 0; i < 16; i++) {
    expect(rig.ready()).toEqual([]);
    rig.clock.advance(100);
    await turns();
  }
  const ready = await rig.until('clip.ready');
  expect(ready.coverage).toEqual([{ startUtcMs: at(0), endUtcMs: at(4) }]);
  expect(rig.clock.sleepers).toBe(0);
});

test('an event before the first picture is recorded from the first key frame on', async () => {
  await using rig = await startRig({ postRollMs: 0 }, new MemoryDisk());
  rig.recorder.openEvent('e', at(0));
  const { info, packets } = syntheticStream({ gops: [20, 20] });
  await rig.play({ info, packets: packets.slice(7) });
  await rig.recorder.close();
  const ready = await rig.until('clip.ready');
  expect(ready.coverage).toEqual([{ startUtcMs: at(2), endUtcMs: at(4) }]);
  expect(rig.meter.counts.get('spyoncino_drops_total record before_key')).toBe(13);
});

test('what is received is durable within a second, with one sync for it', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ preRollMs: 0 }, disk);
  const { info, packets } = syntheticStream({ gops: Array.from({ length: 60 }, () => 10) });
  rig.recorder.openEvent('e', at(0));
  for (const [i, packet] of packets.entries()) {
    await rig.play({ info, packets: [packet] });
    if (i < 10) continue;
    const [file] = disk.files.values();
    const { samples } = readMp4(file!.durable).tracks[0]!;
    // A power cut before the next picture costs so many.
    expect(i + 1 - samples.length).toBeLessThan(10);
  }
  // Twice a picture earlier, as a new disk is not trusted yet.
  expect(disk.syncs).toBeLessThanOrEqual(60 + 2);
});

test('a still comes from the key frame before it, for as long as the ring holds it', async () => {
  await using rig = await startRig({ preRollMs: 2000 }, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: GOPS, bFrames: 2, audio: true });
  expect(rig.recorder.gopAt(at(1))).toBeNull();
  await rig.play({ info, packets });
  const pictures = videoOf(packets);
  const found = rig.recorder.gopAt(at(15.7));
  expect(found!.video).toBe(info.video);
  expect(found!.packets[0]).toBe(pictures[150]);
  expect(found!.packets).toContain(pictures.find(({ utcMs }) => utcMs === at(15.7)));
  expect(found!.packets.every(({ track }) => track === 'video')).toBe(true);
  expect(rig.recorder.gopAt(at(5))).toBeNull();
});

test('with recording switched off there are stills and no clips', async () => {
  await using rig = await startRig({ enabled: false }, new MemoryDisk());
  rig.recorder.openEvent('e', at(0));
  await rig.play(syntheticStream({ gops: [20] }));
  rig.recorder.closeEvent('e', at(1));
  await rig.recorder.close();
  expect(rig.facts).toEqual([]);
  expect(rig.recorder.gopAt(at(1))).not.toBeNull();
});

test('closing twice, and using what is closed, is harmless', async () => {
  await using rig = await startRig({}, new MemoryDisk());
  const { info, packets } = syntheticStream({ gops: GOPS });
  rig.recorder.openEvent('e', at(0));
  await rig.play({ info, packets: packets.slice(0, 30) });
  await Promise.all([rig.recorder.close(), rig.recorder.close()]);
  rig.recorder.packet(packets[30]!);
  rig.recorder.openEvent('late', at(3));
  rig.recorder.closeEvent('e', at(3));
  await rig.recorder.close();
  expect(rig.ready().map(idsOf)).toEqual([['e']]);
  expect(rig.clock.sleepers).toBe(0);
});

const idsOf = (fact: RecordFact): readonly string[] => ('clip' in fact ? fact.clip.eventIds : []);
