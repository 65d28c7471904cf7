import type { Size } from '../../contract/geometry.ts';
import type { Candidate } from './candidates.ts';
import { expectShape, type Decoder, type DecoderContext } from './decoder.ts';

export interface YoloxSpec {
  readonly output?: string | undefined;
  readonly strides: readonly number[];
}

/**
 * YOLOX (Ge et al. 2021) exported without decoding: one output [1, n, 5 + classes], a row per cell of the
 * grids of all strides in turn. Centre and size are relative to the cell; objectness and class are
 * probabilities already.
 */
export function yolox({ output, strides }: YoloxSpec, context: DecoderContext): Decoder {
  const { input, classes, minScore } = context;
  const cells = gridCells(input, strides);
  const width = 5 + classes;
  return {
    outputs: output === undefined ? [] : [output],
    decode(outputs) {
      const { data } = expectShape(outputs, 0, [1, cells.length, width]);
      const candidates: Candidate[] = [];
      // Thousands of cells, a few of them of interest: nothing is done for the others.
      for (let index = 0, at = 0; index < cells.length; index++, at += width) {
        const objectness = data[at + 4]!;
        if (!(objectness >= minScore)) continue;
        const { classIndex, score } = bestClass(data, at + 5, classes);
        if (objectness * score < minScore) continue;
        const { x, y, stride } = cells[index]!;
        const centreX = ((data[at]! + x) * stride) / input.width;
        const centreY = ((data[at + 1]! + y) * stride) / input.height;
        const halfWidth = (Math.exp(data[at + 2]!) * stride) / input.width / 2;
        const halfHeight = (Math.exp(data[at + 3]!) * stride) / input.height / 2;
        candidates.push({
          score: objectness * score,
          classIndex,
          box: [centreX - halfWidth, centreY - halfHeight, centreX + halfWidth, centreY + halfHeight],
        });
      }
      return candidates;
    },
  };
}

interface Cell {
  readonly x: number;
  readonly y: number;
  readonly stride: number;
}

function gridCells(input: Size, strides: readonly number[]): readonly Cell[] {
  return strides.flatMap((stride) => {
    const columns = Math.floor(input.width / stride);
    const rows = Math.floor(input.height / stride);
    return Array.from({ length: rows * columns }, (_, i) => ({
      x: i % columns,
      y: Math.floor(i / columns),
      stride,
    }));
  });
}

function bestClass(
  data: Float32Array | Int32Array,
  from: number,
  classes: number,
): { classIndex: number; score: number } {
  let classIndex = 0;
  for (let i = 1; i < classes; i++) if (data[from + i]! > data[from + classIndex]!) classIndex = i;
  return { classIndex, score: data[from + classIndex]! };
}
