import type { Size } from '../../contract/geometry.ts';
import { CodedError } from '../../contract/errors.ts';
import type { Tensor } from '../tensor.ts';
import type { Candidate } from './candidates.ts';

/** What a decoder may know of its model. */
export interface DecoderContext {
  readonly input: Size;
  readonly classes: number;
  /** Rows weaker than this need not become candidates. */
  readonly minScore: number;
}

/** Reads candidates out of a model's outputs. Pure; the outputs are borrowed for the call. */
export interface Decoder {
  /** Names of the outputs in the order `decode` takes them; empty: the model's only one. */
  readonly outputs: readonly string[];
  /** @throws CodedError MODEL_SHAPE when the outputs are not of this kind of model. */
  decode(outputs: readonly Tensor[]): readonly Candidate[];
}

/** The `index`th output, with dimensions that match `shape` (null: any). @throws CodedError MODEL_SHAPE */
export function expectShape(
  outputs: readonly Tensor[],
  index: number,
  shape: readonly (number | null)[],
): Tensor {
  const tensor = outputs[index];
  const dims = tensor?.dims ?? [];
  if (tensor && dims.length === shape.length && shape.every((size, i) => size === null || size === dims[i]))
    return tensor;
  const wanted = shape.map((size) => size ?? 'n').join(', ');
  throw new CodedError('MODEL_SHAPE', `output ${index} is [${dims.join(', ')}], expected [${wanted}]`);
}
