/** `model.yaml`: what a model is, where its files are, and how to feed and read it. */
import { parse } from 'yaml';
import { z } from 'zod';
import { CodedError } from '../contract/errors.ts';

const channels = z.tuple([z.number(), z.number(), z.number()]);
const relativePath = z
  .string()
  .regex(/^[\w@.-]+(\/[\w@.-]+)*$/)
  .refine((path) => !path.split('/').includes('..'), 'must stay inside its directory');

const file = z.strictObject({
  path: relativePath,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** npm package in which `path` lies; else it lies beside model.yaml. */
  package: z.string().optional(),
  /** Where `spyoncino models add` fetches it. */
  url: z.url({ protocol: /^https?$/ }).optional(),
});

/** What the model is fed: `(byte * scale - mean) / std`, per channel in the model's own channel order. */
const input = z.strictObject({
  width: z.number().int().min(16).max(4096),
  height: z.number().int().min(16).max(4096),
  layout: z.enum(['nhwc', 'nchw']),
  colour: z.enum(['rgb', 'bgr']),
  /** `int32` also feeds models that ask for uint8: their values are whole numbers. */
  type: z.enum(['float32', 'int32']).default('float32'),
  scale: z.number().positive().default(1),
  mean: channels.default([0, 0, 0]),
  std: channels.default([1, 1, 1]),
});

/** Outputs are named as in the model file; where a model has but one, its name may be left out. */
const decoder = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('centernet'), output: z.string().optional() }),
  z.strictObject({
    name: z.literal('ssd'),
    boxes: z.string(),
    scores: z.string(),
    classes: z.string(),
    /** Number of valid rows; without it, all rows count. */
    count: z.string().optional(),
    /** Number that the model gives to the first label. */
    firstClass: z.number().int().min(0).max(1).default(1),
  }),
  z.strictObject({
    name: z.literal('yolox'),
    output: z.string().optional(),
    strides: z.array(z.number().int().positive()).min(1).default([8, 16, 32]),
  }),
  z.strictObject({ name: z.literal('yolo'), output: z.string().optional() }),
]);

const manifest = z.strictObject({
  schema: z.literal(1),
  id: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/),
  name: z.string(),
  format: z.enum(['tfjs-graph', 'onnx']),
  /** The first is the model itself; those after it are its weights. */
  files: z.array(file).min(1).max(64),
  input,
  decoder,
  labels: z.union([z.literal('coco-80'), z.array(z.string()).min(1), z.strictObject({ file: relativePath })]),
  /** Detections below are never reported; what counts is decided per camera. */
  minScore: z.number().min(0).max(1).default(0.1),
  nmsIou: z.number().min(0).max(1).default(0.5),
  maxDetections: z.number().int().positive().max(1000).default(100),
  /** COCO val2017 mAP (0.5:0.95) in percent, as published; `model: auto` ranks by it. */
  accuracy: z.number().min(0).max(100).optional(),
  licence: z.string(),
  source: z.url(),
});

export type Manifest = z.infer<typeof manifest>;
export type ManifestFile = z.infer<typeof file>;
export type InputSpec = Manifest['input'];
export type DecoderSpec = Manifest['decoder'];

/** Reads the text of `where`. @throws CodedError MODEL_MANIFEST_INVALID naming each wrong key. */
export function parseManifest(text: string, where: string): Manifest {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new CodedError('MODEL_MANIFEST_INVALID', `${where}: ${(error as Error).message}`, { cause: error });
  }
  const result = manifest.safeParse(value);
  if (result.success) return result.data;
  const wrong = result.error.issues.map(({ path, message }) => `${path.join('.') || 'model'}: ${message}`);
  throw new CodedError('MODEL_MANIFEST_INVALID', `${where}: ${wrong.join('; ')}`);
}
