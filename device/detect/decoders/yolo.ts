import { CodedError } from '../../contract/errors.ts';
import type { Candidate } from './candidates.ts';
import { expectShape, type Decoder, type DecoderContext } from './decoder.ts';

/**
 * YOLOv8-style export: one output [1, 4 + classes, n] or its transpose [1, n, 4 + classes], rows of centre x,
 * centre y, width, height in pixels of the input, then a probability per class.
 */
export function yolo(spec: { output?: string | undefined }, context: DecoderContext): Decoder {
  const { input, classes, minScore } = context;
  const fields = 4 + classes;
  return {
    outputs: spec.output === undefined ? [] : [spec.output],
    decode(outputs) {
      const { data, dims } = expectShape(outputs, 0, [1, null, null]);
      const fieldsFirst = dims[1] === fields;
      if (!fieldsFirst && dims[2] !== fields)
        throw new CodedError('MODEL_SHAPE', `output is [${dims.join(', ')}], none of it is ${fields}`);
      const rows = fieldsFirst ? dims[2]! : dims[1]!;
      const [rowStep, fieldStep] = fieldsFirst ? [1, rows] : [fields, 1];
      const candidates: Candidate[] = [];
      for (let row = 0; row < rows; row++) {
        const at = row * rowStep;
        let classIndex = 0;
        let score = -Infinity;
        for (let i = 0; i < classes; i++) {
          const probability = data[at + (4 + i) * fieldStep]!;
          if (probability > score) [classIndex, score] = [i, probability];
        }
        if (score < minScore) continue;
        const [x, y, w, h] = [0, 1, 2, 3].map((field) => data[at + field * fieldStep]!);
        candidates.push({
          score,
          classIndex,
          box: [
            (x! - w! / 2) / input.width,
            (y! - h! / 2) / input.height,
            (x! + w! / 2) / input.width,
            (y! + h! / 2) / input.height,
          ],
        });
      }
      return candidates;
    },
  };
}
