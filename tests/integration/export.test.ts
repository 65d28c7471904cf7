/** Stretches cut from real, encoded footage: what FFmpeg shows of them, picture by picture. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportFootage } from '../../device/library/export.ts';
import { recorded, type Recorded } from '../unit/library/recorded.ts';
import { START_UTC_MS } from '../unit/record/synthetic.ts';
import {
  asCamera,
  decodedSoundSeconds,
  encode,
  probe,
  shown,
  X264,
  type EncodePlan,
} from './record-encoded.ts';

const B_FRAMES = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '20', '-bf', '2', '-b_strategy', '0'];
const X265 = [
  '-c:v',
  'libx265',
  '-preset',
  'ultrafast',
  '-tag:v',
  'hvc1',
  '-x265-params',
  'keyint=20:log-level=error',
];

async function record(plan: EncodePlan): Promise<Recorded> {
  return await recorded([asCamera(await encode(plan), { startUtcMs: START_UTC_MS })], { segments: 3 });
}

test.each([
  { name: 'H.264', plan: { video: X264 } },
  { name: 'H.264 with B-frames and sound', plan: { video: B_FRAMES, audio: ['-c:a', 'aac'] } },
  { name: 'H.265 with B-frames', plan: { video: X265 } },
])('$name: exactly the pictures of the stretch, at their times, from several files', async ({ plan }) => {
  await using camera = await record({ ...plan, seconds: 15, fps: 10 });
  // The last seconds are in a file that still grows.
  expect(camera.files()).toHaveLength(3);
  const whole = join(camera.dataDir, 'whole.mp4');
  const cut = (fromMs: number, toMs: number, path: string) =>
    exportFootage(camera.context, {
      cameraId: 'porch',
      fromUtcMs: START_UTC_MS + fromMs,
      toUtcMs: START_UTC_MS + toMs,
      path,
    });
  await cut(0, 13_000, whole);
  const all = (await shown(whole)).pictures;
  expect(all).toHaveLength(130);
  for (const [fromMs, toMs] of [
    [0, 1000],
    [1250, 7310],
    [3900, 4100],
    [5999, 6001],
    [2000, 12_960],
    [7777, 9999],
  ] as const) {
    const path = join(camera.dataDir, `${fromMs}.mp4`);
    const { files, gaps, damaged } = await cut(fromMs, toMs, path);
    expect({ gaps, damaged }).toEqual({ gaps: [], damaged: [] });
    const { pictures, complaints } = await shown(path);
    expect(complaints).toBe('');
    const first = Math.floor(fromMs / 100);
    const end = Math.ceil(toMs / 100);
    expect(pictures.map(({ md5 }) => md5)).toEqual(all.slice(first, end).map(({ md5 }) => md5));
    expect(files[0]).toMatchObject({ pictures: end - first, startUtcMs: START_UTC_MS + fromMs });
    for (const [i, { seconds }] of pictures.entries()) {
      const expected = Math.max(0, ((first + i) * 100 - fromMs) / 1000);
      expect(Math.abs(seconds - expected)).toBeLessThan(0.0005);
    }
    expect((await probe(path)).durationSeconds).toBeCloseTo((toMs - fromMs) / 1000, 2);
    if ('audio' in plan && toMs - fromMs > 500) {
      expect(Math.abs((await decodedSoundSeconds(path)) - (toMs - fromMs) / 1000)).toBeLessThan(0.05);
    }
  }
});
