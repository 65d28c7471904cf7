/**
 * A graph model small enough to write down: it "sees" one object whose score is the mean red of the crop and
 * whose class is one sixteenth of its mean green; it fills the crop. So a test can paint what is to be found.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Crop } from '../../../device/contract/detect.ts';

export const SIDE = 32;
export const LABELS = ['night', 'moss', 'leaf', 'grass'];

/** A crop in one colour, so that `LABELS[label]` is seen with about this score. */
export function paint(score: number, label: number): Crop {
  const rgb = new Uint8Array(SIDE * SIDE * 3);
  for (let i = 0; i < rgb.length; i += 3) rgb.set([Math.round(score * 255), label * 16, 0], i);
  return { width: SIDE, height: SIDE, rgb };
}

const shape = (...sizes: number[]) => ({ shape: { dim: sizes.map((size) => ({ size: String(size) })) } });
const FLOAT = { T: { type: 'DT_FLOAT' } };

const CONSTANTS: readonly [name: string, dtype: 'float32' | 'int32', dims: number[], values: number[]][] = [
  ['axes', 'int32', [2], [1, 2]],
  ['flat', 'int32', [2], [1, 3]],
  ['weights', 'float32', [3, 6], [0, 0, 0, 0, 1 / 255, 0, 0, 0, 0, 0, 0, 1 / 16, 0, 0, 0, 0, 0, 0]],
  ['corners', 'float32', [6], [0, 0, SIDE, SIDE, 0, 0]],
  ['row', 'int32', [3], [1, 1, 6]],
];

const NODES = [
  { name: 'image', op: 'Placeholder', attr: { dtype: { type: 'DT_FLOAT' }, shape: shape(1, SIDE, SIDE, 3) } },
  ...CONSTANTS.map(([name, dtype, dims]) => {
    const type = dtype === 'float32' ? 'DT_FLOAT' : 'DT_INT32';
    const tensor = { dtype: type, tensorShape: shape(...dims).shape };
    return { name, op: 'Const', attr: { dtype: { type }, value: { tensor } } };
  }),
  { name: 'mean', op: 'Mean', input: ['image', 'axes'], attr: { ...FLOAT, keep_dims: { b: false } } },
  { name: 'colour', op: 'Reshape', input: ['mean', 'flat'], attr: FLOAT },
  {
    name: 'product',
    op: 'MatMul',
    input: ['colour', 'weights'],
    attr: { ...FLOAT, transpose_a: { b: false }, transpose_b: { b: false } },
  },
  { name: 'sum', op: 'AddV2', input: ['product', 'corners'], attr: FLOAT },
  { name: 'seen', op: 'Reshape', input: ['sum', 'row'], attr: FLOAT },
];

/** Installs it as `colour` with `change` in its manifest; `json` replaces the model's own file. */
export async function installColourModel(dataDir: string, change: object = {}, json?: string): Promise<void> {
  const model =
    json ??
    JSON.stringify({
      format: 'graph-model',
      modelTopology: { node: NODES, library: {}, versions: { producer: 1 } },
      weightsManifest: [
        {
          paths: ['weights.bin'],
          weights: CONSTANTS.map(([name, dtype, dims]) => ({ name, dtype, shape: dims })),
        },
      ],
    });
  const weights = Buffer.concat(
    CONSTANTS.map(([, dtype, , values]) =>
      Buffer.from((dtype === 'float32' ? Float32Array.from(values) : Int32Array.from(values)).buffer),
    ),
  );
  const directory = join(dataDir, 'models/colour');
  await mkdir(directory, { recursive: true });
  const files = [];
  for (const [path, content] of [
    ['model.json', model],
    ['weights.bin', weights],
  ] as const) {
    await writeFile(join(directory, path), content);
    files.push({ path, sha256: createHash('sha256').update(content).digest('hex') });
  }
  const manifest = {
    schema: 1,
    id: 'colour',
    name: 'Colour',
    format: 'tfjs-graph',
    files,
    input: { width: SIDE, height: SIDE, layout: 'nhwc', colour: 'rgb' },
    decoder: { name: 'centernet', output: 'seen' },
    labels: LABELS,
    licence: 'MIT',
    source: 'https://example.org',
    ...change,
  };
  await writeFile(join(directory, 'model.yaml'), stringify(manifest));
}
