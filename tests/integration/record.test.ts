import { join } from 'node:path';
import { expect, test } from 'vitest';
import { START_UTC_MS } from '../unit/record/synthetic.ts';
import { startRig } from '../unit/record/rig.ts';
import { asCamera, decode, encode, probe, X264, type EncodePlan } from './record-encoded.ts';

const B_FRAMES = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '20', '-bf', '2', '-b_strategy', '0'];
const HEVC = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:keyint=20:bframes=2', '-tag:v', 'hvc1'];
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
  const { info, packets } = asCamera(stream, { startUtcMs: START_UTC_MS });
  rig.recorder.openEvent('e', START_UTC_MS + 3000);
  await rig.play({ info, packets });
  await rig.recorder.close();

  const ready = await rig.until('clip.ready');
  const path = join(rig.dataDir, ready.clip.path);
  const { pictures, complaints } = await decode(path);
  expect(complaints).toBe('');
  expect(pictures).toHaveLength(100);
  const { durationSeconds, videoSeconds, audioSeconds } = await probe(path);
  expect(durationSeconds).toBeCloseTo(10, 1);
  expect(ready.clip.durationMs).toBe(10_000);
  expect(videoSeconds.map((seconds) => Math.round(seconds * 1000))).toEqual(
    Array.from({ length: 100 }, (_, i) => i * 100),
  );
  expect(audioSeconds.length > 0).toBe(plan.audio !== undefined);
  console.log(durationSeconds, videoSeconds.length, audioSeconds.slice(0,3), audioSeconds.at(-1), (await rig.read(ready)).mp4.tracks.map(t=>[t.mediaTime,t.samples.length]));
});
