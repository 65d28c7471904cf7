import type { InputSpec } from './manifest.ts';

/** What goes into and comes out of a model: flat values and their dimensions. */
export interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float32Array | Int32Array;
}

export const inputDims = ({ layout, width, height }: InputSpec): readonly number[] =>
  layout === 'nhwc' ? [1, height, width, 3] : [1, 3, height, width];

/** The number of bytes of one crop. */
export const cropBytes = ({ width, height }: { width: number; height: number }): number => width * height * 3;

/**
 * Turns RGB bytes into the values that the model wants, in a buffer that is reused: the tensor is valid until
 * the next call.
 */
export function createInputWriter(input: InputSpec): (rgb: Uint8Array) => Tensor {
  const dims = inputDims(input);
  const size = cropBytes(input);
  const data = input.type === 'int32' ? new Int32Array(size) : new Float32Array(size);
  const channels = [0, 1, 2].map((channel) => ({
    source: input.colour === 'rgb' ? channel : 2 - channel,
    factor: input.scale / input.std[channel]!,
    offset: -input.mean[channel]! / input.std[channel]!,
  }));
  const plain = channels.every(({ factor, offset }) => factor === 1 && offset === 0);
  if (plain && input.layout === 'nhwc' && input.colour === 'rgb') {
    return (rgb) => {
      data.set(rgb);
      return { dims, data };
    };
  }
  const pixels = input.width * input.height;
  const [start, step] = input.layout === 'nhwc' ? [1, 3] : [pixels, 1];
  return (rgb) => {
    channels.forEach(({ source, factor, offset }, channel) => {
      for (let i = source, o = channel * start, end = size; i < end; i += 3, o += step)
        data[o] = rgb[i]! * factor + offset;
    });
    return { dims, data };
  };
}
