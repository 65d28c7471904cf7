import { expectShape, type Decoder } from './decoder.ts';

export interface SsdSpec {
  readonly boxes: string;
  readonly scores: string;
  readonly classes: string;
  readonly count?: string | undefined;
  readonly firstClass: number;
}

/**
 * TensorFlow Object Detection API with post-processing inside the model: boxes [1, n, 4] as y1, x1, y2, x2 in
 * fractions, scores [1, n], classes [1, n], and optionally the number of valid rows [1].
 */
export function ssd({ boxes, scores, classes, count, firstClass }: SsdSpec): Decoder {
  return {
    outputs: [boxes, scores, classes, ...(count === undefined ? [] : [count])],
    decode(outputs) {
      const corners = expectShape(outputs, 0, [1, null, 4]);
      const rows = corners.dims[1]!;
      const scoreOf = expectShape(outputs, 1, [1, rows]).data;
      const classOf = expectShape(outputs, 2, [1, rows]).data;
      const valid = count === undefined ? rows : Math.min(rows, expectShape(outputs, 3, [1]).data[0]!);
      return Array.from({ length: Math.max(0, valid) }, (_, row) => {
        const [y1, x1, y2, x2] = corners.data.subarray(row * 4, row * 4 + 4);
        return {
          score: scoreOf[row]!,
          classIndex: classOf[row]! - firstClass,
          box: [x1!, y1!, x2!, y2!] as const,
        };
      });
    },
  };
}
