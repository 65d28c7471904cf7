import { expect, test } from 'vitest';
import { START_UTC_MS } from '../unit/record/synthetic.ts';
import { pathOf, startRig } from '../unit/record/rig.ts';
import {
  asCamera,
  decode,
  decodedSoundSeconds,
  encode,
  probe,
  X264,
  type EncodedStream,
  type EncodePlan,
} from './record-encoded.ts';

const B_FRAMES = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '20', '-bf', '2', '-b_strategy', '0'];
const X265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1'];
const HEVC = [...X265, '-x265-params', 'log-level=none:keyint=20:bframes=2'];
const CASES: Readonly<Record<string, EncodePlan>> = {
  'H.264 without B-frames': { video: X264 },
  'H.264 with B-frames': { video: B_FRAMES },
  'HEVC with B-frames': { video: HEVC },
  'H.264 with AAC': { video: B_FRAMES, audio: ['-c:a', 'aac'] },
  'H.264 with Opus': { video: X264, audio: ['-c:a', 'libopus'] },
};

test.for(Object.entries(CASES))('FFmpeg plays a clip of %s from first to last picture', async ([, plan]) => {
  const stream = await encode(plan);
  await using rig = await startRig({ preRollMs: 60_000 });
  const path = await recordAll(rig, stream);

  const { pictures, complaints } = await decode(path);
  expect(complaints).toBe('');
  expect(pictures).toHaveLength(100);
  const { durationSeconds, videoSeconds } = await probe(path);
  expect(durationSeconds).toBeCloseTo(10, 1);
  const [first] = stream.videoSamples.map(({ pts }) => pts).toSorted((a, b) => a - b);
  const expected = stream.videoSamples
    .map(({ pts }) => (pts - first!) / stream.video.timescale)
    .toSorted((a, b) => a - b);
  expectSameTimes(videoSeconds, expected);
});

test.for([
  ['AAC', ['-c:a', 'aac']],
  ['Opus', ['-c:a', 'libopus']],
] as const)('%s keeps its distance to the pictures', async ([, audio]) => {
  const stream = await encode({ video: B_FRAMES, audio });
  await using rig = await startRig({ preRollMs: 60_000 });
  const path = await recordAll(rig, stream);

  const firstPicture = stream.videoSamples[0]!.pts / stream.video.timescale;
  const expected = stream.audioSamples
    .map(({ pts }) => pts / stream.audio!.timescale - firstPicture)
    .filter((seconds) => seconds >= 0);
  const { audioSeconds } = await probe(path);
  expectSameTimes(audioSeconds, expected);
  expect(await decodedSoundSeconds(path)).toBeCloseTo(9.99, 1);
});

test.for(['pcm_alaw', 'pcm_mulaw'] as const)('%s is recorded as it comes', async (codec) => {
  const packetTicks = 160;
  const stream: EncodedStream = {
    ...(await encode({ video: X264 })),
    audio: { codec, config: new Uint8Array(), sampleRate: 8000, channels: 1, timescale: 8000 },
    audioSamples: Array.from({ length: 500 }, (_, i) => ({
      dts: i * packetTicks,
      pts: i * packetTicks,
      duration: packetTicks,
      key: true,
      data: Uint8Array.from({ length: packetTicks }, (_, n) => (i * 7 + n) % 256),
    })),
  };
  await using rig = await startRig({ preRollMs: 60_000 });
  const path = await recordAll(rig, stream);

  expect(await decodedSoundSeconds(path)).toBeCloseTo(10, 3);
  expect((await decode(path)).pictures).toHaveLength(100);
});

test('a clip that grows plays before it is complete', async () => {
  const stream = await encode({ video: X264 });
  await using rig = await startRig({ preRollMs: 2000 });
  const { info, packets } = asCamera(stream, { startUtcMs: START_UTC_MS });
  await rig.play({ info, packets: packets.slice(0, 45) });
  rig.recorder.openEvent('e', START_UTC_MS + 4400);
  const partial = await rig.until('clip.partial');
  const { pictures, complaints } = await decode(pathOf(rig.dataDir, partial));
  expect(complaints).toBe('');
  expect(pictures).toHaveLength(25);
});

test('segments put one behind the other hold every picture once, and FFmpeg plays each', async () => {
  const stream = await encode({ video: B_FRAMES, audio: ['-c:a', 'aac'] });
  await using rig = await startRig({ mode: 'continuous', segmentMs: 3000 });
  await rig.play(asCamera(stream, { startUtcMs: START_UTC_MS, rounds: 4 }));
  await rig.recorder.close();
  let pictures = 0;
  for (const segment of rig.segments()) {
    const played = await decode(pathOf(rig.dataDir, segment));
    expect(played.complaints).toBe('');
    pictures += played.pictures.length;
  }
  expect(rig.segments().length).toBeGreaterThan(5);
  expect(pictures).toBe(400);
});

async function recordAll(rig: Awaited<ReturnType<typeof startRig>>, stream: EncodedStream): Promise<string> {
  rig.recorder.openEvent('e', START_UTC_MS + 3000);
  await rig.play(asCamera(stream, { startUtcMs: START_UTC_MS }));
  await rig.recorder.close();
  return pathOf(rig.dataDir, await rig.until('clip.ready'));
}

/** To the millisecond: times are in ticks of different clocks. */
function expectSameTimes(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  const distances = actual.map((seconds, i) => Math.abs(seconds - expected[i]!));
  expect(Math.max(...distances)).toBeLessThan(0.001);
}
