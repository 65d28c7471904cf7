/** Small real models that come with a package of ours: good for comparing backends. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ModelSource } from '../../../device/detect/backends/index.ts';
import type { InputSpec } from '../../../device/detect/manifest.ts';
import type { Tensor } from '../../../device/detect/tensor.ts';

const PACKAGE = join(dirname(createRequire(import.meta.url).resolve('@vladmandic/human')), '..');

const source = (
  name: string,
  side: number,
  type: InputSpec['type'],
  outputs: readonly string[],
): ModelSource => ({
  files: ['json', 'bin'].map((extension) => join(PACKAGE, 'models', `${name}.${extension}`)),
  input: {
    width: side,
    height: side,
    layout: 'nhwc',
    colour: 'rgb',
    type,
    scale: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1],
  },
  outputs,
  threads: 1,
});

/** Convolutions; thousands of values come out. */
export const BLAZEFACE = source('blazeface', 256, 'float32', ['Identity:0', 'Identity_2:0']);

/** A detector of the TensorFlow Object Detection API, with its loops and suppression inside the graph. */
export const HANDTRACK = source('handtrack', 320, 'int32', [
  'Identity_1:0',
  'Identity_4:0',
  'Identity_2:0',
  'Identity_5:0',
]);

/** The same structured picture every time: soft waves, so that no value is an accident. */
export function waves({ input: { width, height, type } }: ModelSource, amplitude: number): Tensor {
  const size = width * height * 3;
  const data = type === 'int32' ? new Int32Array(size) : new Float32Array(size);
  for (let i = 0; i < size; i++) data[i] = amplitude * (0.5 + 0.5 * Math.sin(i / 97) * Math.cos(i / 1013));
  return { dims: [1, height, width, 3], data };
}

/** The largest difference of two results, relative to the largest value. */
export function difference(actual: readonly Tensor[], expected: readonly Tensor[]): number {
  const pairs = expected.flatMap(({ data }, output) =>
    Array.from(data, (value, i): [number, number] => [actual[output]?.data[i] ?? NaN, value]),
  );
  const scale = Math.max(...pairs.map(([, value]) => Math.abs(value)));
  return Math.max(...pairs.map(([a, b]) => Math.abs(a - b))) / scale;
}
