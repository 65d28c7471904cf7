import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Crop, Detection } from '../../device/contract/detect.ts';
import { iou, type Box } from '../../device/contract/geometry.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { addModel, connectDetector, createDetectServer } from '../../device/detect/index.ts';
import { systemClock as clock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { requireFootage } from '../harness/footage.ts';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['ffmpeg']);
const footage = await requireFootage();

/** Models that are not ours to ship; tests with them run where somebody put them. */
const MODELS = process.env['SPYONCINO_TEST_MODELS'] ?? join(import.meta.dirname, '../../../shared/models');
const YOLOX = join(MODELS, 'yolox_nano.onnx');
const log = createLog({ name: 'test', level: 'silent' });

/** A square of 384 pixels of the picture at `seconds`, enlarged to a crop: what motion would have cut. */
function look(x: number, y: number, side: number): Crop {
  const filter = `crop=384:384:${x}:${y},scale=${side}:${side}`;
  const rgb = execFileSync(
    'ffmpeg',
    [
      '-v',
      'error',
      '-ss',
      '5',
      '-i',
      footage,
      '-frames:v',
      '1',
      '-vf',
      filter,
      '-f',
      'rawvideo',
      '-pix_fmt',
      'rgb24',
      '-',
    ],
    { maxBuffer: 8 * 1024 * 1024 },
  );
  return { width: side, height: side, rgb };
}

async function detectWith(
  model: string,
  prepare: (dataDir: string) => Promise<unknown>,
): Promise<readonly Detection[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-'));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  await prepare(dataDir);
  const common = { socket: join(dataDir, 'detect.sock'), meter: noMeter, log, clock };
  const settings = { model, backend: 'auto', workers: 1 } as const;
  await using server = await createDetectServer({ ...common, settings, dataDir });
  await using client = connectDetector({ ...common, cameraId: 'porch' });
  await client.ready();
  const result = await client.detect([look(192, 96, server.info.inputWidth)]);
  return result!.detections[0]!;
}

const people = (detections: readonly Detection[]): readonly Box[] =>
  detections.filter(({ label, score }) => label === 'person' && score >= 0.4).map(({ box }) => box);

test('the default model finds the people in real footage', async () => {
  const found = people(await detectWith('centernet', async () => {}));
  expect(found.length).toBeGreaterThanOrEqual(3);
});

test.skipIf(!existsSync(YOLOX))('an added ONNX model finds the same people', async () => {
  const precise = people(
    await detectWith('yolox-nano', (dataDir) => addModel({ dataDir, id: 'yolox-nano', from: YOLOX })),
  );
  const rough = people(await detectWith('centernet', async () => {}));
  expect(precise.length).toBeGreaterThanOrEqual(3);
  for (const box of rough) expect(Math.max(...precise.map((other) => iou(box, other)))).toBeGreaterThan(0.5);
});
