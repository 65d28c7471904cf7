/**
 * `node tests/bench/gpu-detect.ts [MODEL] [--data-dir DIR] [--crop FILE]`: one model on WebGPU and on WebAssembly.
 * How fast each is, and, for a crop (raw RGB bytes of exactly the model's input size, e.g. by
 * `ffmpeg … -f rawvideo -pix_fmt rgb24`), how far their boxes are apart. `VK_DRIVER_FILES` chooses the GPU's driver.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { BackendName, Detection } from '../../device/contract/detect.ts';
import { iou } from '../../device/contract/geometry.ts';
import { freshDigests } from '../../device/detect/digests.ts';
import { measure } from '../../device/detect/measure.ts';
import { ModelWorker } from '../../device/detect/model-worker.ts';
import { findModel, verifyFiles, type VerifiedModel } from '../../device/detect/models.ts';
import { systemClock as clock } from '../../device/kernel/clock.ts';
import { machineFacts, table } from './facts.ts';

const BACKENDS = ['tfjs-webgpu', 'tfjs-wasm'] as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'data-dir': { type: 'string', default: 'data' }, crop: { type: 'string' } },
});

async function detect(
  model: VerifiedModel,
  backend: BackendName,
  rgb: Uint8Array,
): Promise<readonly Detection[]> {
  const { manifest, files, labels } = model;
  await using worker = await ModelWorker.create({
    start: { backend, manifest, files, labels, threads: 1 },
    clock,
  });
  return (await worker.run(Uint8Array.from(rgb))).detections;
}

/** Each box of `reference` beside the best of the same label in `actual`. */
const compared = (actual: readonly Detection[], reference: readonly Detection[]): string[][] =>
  reference.map(({ label, score, box }) => {
    const rivals = actual.filter((other) => other.label === label);
    const twin = rivals.toSorted((a, b) => iou(b.box, box) - iou(a.box, box))[0];
    return [
      label,
      score.toFixed(3),
      twin?.score.toFixed(3) ?? '-',
      twin ? iou(twin.box, box).toFixed(3) : '-',
    ];
  });

const model = await verifyFiles(
  await findModel(values['data-dir'], positionals[0] ?? 'centernet'),
  freshDigests,
);
process.stdout.write(`${machineFacts()}\n\n`);
const rows = [[`${model.manifest.id} on`, 'inference ms', 'around it ms', 'start ms']];
for (const backend of BACKENDS) {
  try {
    const { inferenceMs, overheadMs, startMs } = await measure(model, backend, { clock });
    rows.push([backend, ...[inferenceMs, overheadMs, startMs].map((ms) => ms.toFixed(1))]);
  } catch (error) {
    rows.push([backend, (error as Error).message, '', '']);
  }
}
process.stdout.write(`${table(rows)}\n`);
if (values.crop !== undefined) {
  const rgb = readFileSync(values.crop);
  const [webgpu, wasm] = [await detect(model, 'tfjs-webgpu', rgb), await detect(model, 'tfjs-wasm', rgb)];
  process.stdout.write(`\n${table([['label', 'wasm', 'webgpu', 'overlap'], ...compared(webgpu, wasm)])}\n`);
}
