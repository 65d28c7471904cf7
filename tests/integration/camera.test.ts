/** A camera's chain, live, with the generated test pattern and without a detector. */
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { runCamera } from '../../device/camera.ts';
import type { Fact } from '../../device/contract/facts.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { defaultSettings } from '../../device/settings/index.ts';
import { MEDIA_ID, mountMedia } from '../harness/media.ts';
import { requirePackages } from '../harness/packages.ts';
import { decode } from './record-encoded.ts';

requirePackages(['ffmpeg']);

/** Runs the chain until `isEnough`; resolves to all it told. */
async function run(dataDir: string, name: string, isEnough: (facts: readonly Fact[]) => boolean) {
  const [settings] = defaultSettings(dataDir, [
    { camera_id: 'porch', test_pattern: true, recording: { mode: 'continuous' } },
  ]).cameras;
  const stop = new AbortController();
  const facts: Fact[] = [];
  await runCamera(
    {
      settings: settings!,
      dataDir,
      mediaId: MEDIA_ID,
      run: name,
      detector: { info: null, detect: () => Promise.resolve(null) },
      emit: (fact) => {
        facts.push(fact);
        if (isEnough(facts)) stop.abort();
      },
      meter: noMeter,
      clock: systemClock,
      log: pino({ level: 'silent' }),
    },
    stop.signal,
  );
  return facts;
}

const segmentsOf = (facts: readonly Fact[]) => facts.filter((fact) => fact.type === 'segment.ready');

test('a camera records on its own, and completes what an earlier process left behind beside that', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-camera-'));
  try {
    await mountMedia(dataDir);
    const isMoving = (facts: readonly Fact[]): boolean => facts.some(({ type }) => type === 'motion');
    const [first] = segmentsOf(await run(dataDir, 'first', isMoving));
    expect(first!.recovered).toBe(false);
    const path = join(dataDir, first!.segment.path);
    expect((await decode(path)).complaints).toBe('');
    await rename(path, path.replace('.mp4', '.part.mp4'));

    const facts = await run(dataDir, 'second', (facts) => segmentsOf(facts).length > 0 && isMoving(facts));
    const [recovered, own] = segmentsOf(facts);
    expect(recovered).toEqual({ ...first, recovered: true });
    expect(own!.segment.segmentId).toContain('-second-');
    expect((await decode(join(dataDir, own!.segment.path))).complaints).toBe('');
  } finally {
    await rm(dataDir, { recursive: true });
  }
});
