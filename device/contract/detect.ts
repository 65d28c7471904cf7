/** The detector port and what a model says about itself. */
import type { Box } from './geometry.ts';

export type BackendName = 'tfjs-wasm' | 'tfjs-webgpu' | 'tfjs-node' | 'onnx';
export type DecoderName = 'centernet' | 'ssd' | 'yolox' | 'yolo';

/** RGB picture of exactly the model's input size, row-major, 3 bytes a pixel, already letterboxed. */
export interface Crop {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** `box` is in fractions of the crop. */
export interface Detection {
  readonly label: string;
  readonly score: number;
  readonly box: Box;
}

/** What a camera's chain must know to prepare crops. */
export interface DetectorInfo {
  readonly modelId: string;
  readonly backend: BackendName;
  readonly inputWidth: number;
  readonly inputHeight: number;
  readonly labels: readonly string[];
}

/** One answer per crop, in order. */
export interface DetectResult {
  readonly detections: readonly (readonly Detection[])[];
  /** Time in the model itself, and time spent waiting for a worker. */
  readonly inferenceMs: number;
  readonly queueMs: number;
}

/**
 * The detector as a camera's chain sees it: shared, possibly absent, possibly busy.
 * `detect` rejects with CodedError DETECTOR_FAILED when the host dies, and resolves to null when a newer
 * request of the same camera took the place of this one before it began (latest frame wins).
 */
export interface DetectPort {
  /** null while there is no working detector; recording and motion go on without it. */
  readonly info: DetectorInfo | null;
  detect(crops: readonly Crop[]): Promise<DetectResult | null>;
}
