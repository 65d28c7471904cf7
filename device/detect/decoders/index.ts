import type { DecoderSpec } from '../manifest.ts';
import { centernet } from './centernet.ts';
import type { Decoder, DecoderContext } from './decoder.ts';
import { ssd } from './ssd.ts';
import { yolo } from './yolo.ts';
import { yolox } from './yolox.ts';

export { suppress, toDetections, type Candidate } from './candidates.ts';
export type { Decoder } from './decoder.ts';

export function createDecoder(spec: DecoderSpec, context: DecoderContext): Decoder {
  if (spec.name === 'centernet') return centernet(spec, context);
  if (spec.name === 'ssd') return ssd(spec);
  return spec.name === 'yolox' ? yolox(spec, context) : yolo(spec, context);
}
