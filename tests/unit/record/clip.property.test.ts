import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MediaPacket, StreamInfo } from '../../../device/contract/media.ts';
import { MemoryDisk } from './memory-disk.ts';
import { readMp4, type Mp4Track } from './mp4.ts';
import { pathOf, startRig } from './rig.ts';
import { AUDIO, START_UTC_MS, syntheticStream, VIDEO } from './synthetic.ts';

interface Arrived {
  readonly packet: MediaPacket;
  readonly info: StreamInfo;
}

const scenario = fc.record({
  generations: fc.array(
    fc.record({
      gops: fc.array(fc.integer({ min: 1, max: 35 }), { minLength: 1, maxLength: 6 }),
      /** The clock jumps over it, so no longer than the ring keeps what a real clock would have had time to write. */
      pauseMs: fc.integer({ min: 600, max: 2500 }),
      /** Another size is another set of parameters, so another file. */
      width: fc.constantFrom(640, 1280),
      firstDts: fc.integer({ min: 0, max: 2 ** 34 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  bFrames: fc.integer({ min: 0, max: 3 }),
  frameTicks: fc.constantFrom(3000, 6000, 9000, 45_000),
  audio: fc.boolean(),
  audioDelayMs: fc.integer({ min: -300, max: 300 }),
  preRollMs: fc.integer({ min: 0, max: 6000 }),
  /** What is written already stays, so the end must lie ahead of what arrived. */
  postRollMs: fc.integer({ min: 500, max: 4000 }),
  maxClipMs: fc.constantFrom(2000, 5000, 600_000),
  /** Where in what arrives the event begins and ends, as fractions. */
  open: fc.double({ min: 0, max: 0.9, noNaN: true }),
  close: fc.double({ min: 0, max: 1, noNaN: true }),
});

test('every packet of a take is in its clips once, in order, at its time', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (plan) => {
      const disk = new MemoryDisk();
      await using rig = await startRig(plan, disk);
      const arrivals = play(plan);
      const opened = Math.floor(plan.open * arrivals.length);
      const closed = Math.min(
        arrivals.length - 1,
        opened + Math.floor(plan.close * (arrivals.length - opened)),
      );
      let [openUtcMs, closeUtcMs] = [0, 0];
      for (const [i, { packet, info }] of arrivals.entries()) {
        await rig.play({ info, packets: [packet] });
        if (i === opened) rig.recorder.openEvent('e', (openUtcMs = packet.utcMs));
        if (i === closed) rig.recorder.closeEvent('e', (closeUtcMs = packet.utcMs));
      }
      await rig.recorder.close();

      const expected = takeOf(arrivals, opened, openUtcMs - plan.preRollMs, closeUtcMs + plan.postRollMs);
      const clips = rig.ready().map((fact) => ({ fact, mp4: readMp4(disk.read(pathOf(rig.dataDir, fact))) }));
      expect(rig.gaps()).toEqual([]);
      expect(namesOf(clips.map(({ mp4 }) => mp4.tracks[0]))).toEqual(expected.video.map(nameOf));
      if (plan.audio)
        expect(namesOf(clips.map(({ mp4 }) => mp4.tracks[1]))).toEqual(expected.audio.map(nameOf));
      for (const { fact, mp4 } of clips) {
        const bytes = disk.read(pathOf(rig.dataDir, fact));
        expect(fact.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
        expect(fact.clip.sizeBytes).toBe(bytes.byteLength);
        expectTimes(mp4.tracks, arrivals, fact.clip.durationMs);
        expectFragments(mp4.tracks[0]!);
        const moofs = mp4.boxes.filter(({ type }) => type === 'moof').map(({ start }) => start);
        const keys = mp4.tracks[0]!.samples.filter(({ key }) => key);
        expect(mp4.randomAccess).toEqual(
          keys.map(({ pts, fragment }) => ({ time: pts, moof: moofs[fragment] })),
        );
      }
      expect(rig.meter.counts.get('spyoncino_drops_total record disk_slow')).toBeUndefined();
    }),
    { numRuns: 150 },
  );
});

test('in continuous recording every packet is in the segments once, in order, at its time', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, fc.constantFrom(1000, 3000, 20_000), async (plan, segmentMs) => {
      const disk = new MemoryDisk();
      await using rig = await startRig({ ...plan, mode: 'continuous', segmentMs }, disk);
      const arrivals = play(plan);
      for (const { packet, info } of arrivals) await rig.play({ info, packets: [packet] });
      await rig.recorder.close();

      const expected = takeOf(arrivals, 0, -Infinity, Infinity);
      const segments = rig
        .segments()
        .map((fact) => ({ fact, mp4: readMp4(disk.read(pathOf(rig.dataDir, fact))) }));
      expect(rig.gaps()).toEqual([]);
      expect(namesOf(segments.map(({ mp4 }) => mp4.tracks[0]))).toEqual(expected.video.map(nameOf));
      if (plan.audio)
        expect(namesOf(segments.map(({ mp4 }) => mp4.tracks[1]))).toEqual(expected.audio.map(nameOf));
      for (const [i, { fact, mp4 }] of segments.entries()) {
        const bytes = disk.read(pathOf(rig.dataDir, fact));
        expect(fact.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
        expect(mp4.tracks[0]!.samples[0]!.key).toBe(true);
        expectTimes(mp4.tracks, arrivals, fact.segment.durationMs);
        const before = segments[i - 1]?.fact.coverage.at(-1)?.endUtcMs ?? 0;
        expect(fact.coverage[0]!.startUtcMs).toBeGreaterThanOrEqual(before);
      }
    }),
    { numRuns: 80 },
  );
});

type Plan = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

/** What arrives of all generations, one after the other. */
function play(plan: Plan): readonly Arrived[] {
  let startUtcMs = START_UTC_MS;
  return plan.generations.flatMap(({ gops, pauseMs, width, firstDts }, i) => {
    const { info, packets } = syntheticStream({
      ...plan,
      gops,
      firstDts,
      startUtcMs,
      generation: i + 1,
      video: { ...VIDEO, width },
    });
    startUtcMs = Math.max(...packets.map(({ utcMs }) => utcMs)) + pauseMs;
    return packets.map((packet) => ({ packet, info }));
  });
}

/** The model: plain filters over all that arrived. */
function takeOf(
  arrivals: readonly Arrived[],
  opened: number,
  fromUtcMs: number,
  toUtcMs: number,
): { video: readonly MediaPacket[]; audio: readonly MediaPacket[] } {
  const pictures = arrivals.map(({ packet }) => packet).filter(({ track }) => track === 'video');
  const keys = arrivals
    .slice(0, opened + 1)
    .flatMap(({ packet }) => (packet.track === 'video' && packet.key ? [packet] : []));
  const firstKey =
    keys.findLast(({ utcMs }) => utcMs <= fromUtcMs) ?? keys[0] ?? pictures.find(({ key }) => key)!;
  const decodedAt = (packet: MediaPacket): number =>
    packet.utcMs - ((packet.pts - packet.dts) / VIDEO.timescale) * 1000;
  const video = pictures.slice(pictures.indexOf(firstKey)).filter((packet) => decodedAt(packet) < toUtcMs);
  const isHeard = (packet: MediaPacket): boolean => {
    const key = pictures.find(({ generation }) => generation === packet.generation)!;
    const at = arrivals.findIndex((arrived) => arrived.packet === packet);
    const keyAt = arrivals.findIndex((arrived) => arrived.packet === key);
    return at > keyAt && packet.utcMs >= key.utcMs;
  };
  const audio = arrivals
    .map(({ packet }) => packet)
    .filter(({ track }) => track === 'audio')
    .filter((packet) => isHeard(packet) && packet.utcMs >= firstKey.utcMs && packet.utcMs < toUtcMs);
  return { video, audio: video.length > 0 ? audio : [] };
}

function expectTimes(tracks: readonly Mp4Track[], arrivals: readonly Arrived[], durationMs: number): void {
  const packets = new Map(arrivals.map(({ packet }) => [nameOf(packet), packet]));
  const [video, audio] = tracks;
  const of = (data: Buffer): MediaPacket => packets.get(data.toString('latin1'))!;
  const first = of(video!.samples[0]!.data);
  expect(video!.samples[0]!.dts).toBe(0);
  expect(video!.mediaTime).toBe(first.pts - first.dts);
  for (const [i, sample] of video!.samples.entries()) {
    const packet = of(sample.data);
    expect(sample.pts - sample.dts).toBe(packet.pts - packet.dts);
    expect(sample.key).toBe(packet.key);
    // Within a generation exact to the tick; from one to the next as exact as the wall clock.
    const shownMs = ((sample.pts - video!.mediaTime) / video!.timescale) * 1000;
    expect(Math.abs(shownMs - (packet.utcMs - first.utcMs))).toBeLessThan(1);
    const next = video!.samples[i + 1];
    const nextPacket = next && of(next.data);
    if (nextPacket?.generation === packet.generation)
      expect(next!.dts - sample.dts).toBe(nextPacket.dts - packet.dts);
    if (next) expect(next.dts).toBeGreaterThanOrEqual(sample.dts + sample.duration);
  }
  const end = Math.max(...video!.samples.map(({ pts, duration }) => pts + duration)) - video!.mediaTime;
  expect(Math.abs(durationMs - (end / video!.timescale) * 1000)).toBeLessThan(1);
  for (const sample of audio?.samples ?? []) {
    const shownMs = (sample.dts / AUDIO.timescale) * 1000;
    expect(Math.abs(shownMs - (of(sample.data).utcMs - first.utcMs))).toBeLessThan(1);
  }
}

/** Each begins at a key frame or goes on within a GOP, and none is longer than a second. */
function expectFragments({ samples, timescale }: Mp4Track): void {
  for (const [i, { key, fragment }] of samples.entries()) {
    if (key && i > 0) expect(fragment).toBeGreaterThan(samples[i - 1]!.fragment);
  }
  for (const [, own] of Map.groupBy(samples, ({ fragment }) => fragment)) {
    expect(own.at(-1)!.dts - own[0]!.dts).toBeLessThan(timescale);
  }
}

const nameOf = ({ data }: { readonly data: Uint8Array }): string => Buffer.from(data).toString('latin1');
const namesOf = (tracks: readonly (Mp4Track | undefined)[]): readonly string[] =>
  tracks.flatMap((track) => track?.samples.map(nameOf) ?? []);
