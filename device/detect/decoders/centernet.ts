import { expectShape, type Decoder, type DecoderContext } from './decoder.ts';

/**
 * CenterNet with its peaks taken inside the model (Zhou et al. 2019, "Objects as Points"): one output
 * [1, n, 6] of x1, y1, x2, y2 in pixels of the input, score, class.
 */
export function centernet(spec: { output?: string | undefined }, context: DecoderContext): Decoder {
  const { width, height } = context.input;
  return {
    outputs: spec.output === undefined ? [] : [spec.output],
    decode(outputs) {
      const { data, dims } = expectShape(outputs, 0, [1, null, 6]);
      return Array.from({ length: dims[1]! }, (_, row) => {
        const [x1, y1, x2, y2, score, classIndex] = data.subarray(row * 6, row * 6 + 6);
        return {
          score: score!,
          classIndex: classIndex!,
          box: [x1! / width, y1! / height, x2! / width, y2! / height] as const,
        };
      });
    },
  };
}
