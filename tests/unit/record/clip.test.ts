import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import type { MediaPacket } from '../../../device/contract/media.ts';
import { startRig } from './rig.ts';
import { START_UTC_MS, syntheticStream } from './synthetic.ts';

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
  expect(await readdir(dirname(join(rig.dataDir, ready.clip.path)))).toHaveLength(1);
});
