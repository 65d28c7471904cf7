import type { BackendName } from '../../contract/detect.ts';
import type { InputSpec, Manifest } from '../manifest.ts';
import type { Tensor } from '../tensor.ts';

/** What a backend loads. */
export interface ModelSource {
  /** Absolute paths, the model itself first. */
  readonly files: readonly string[];
  readonly input: InputSpec;
  /** Outputs wanted, by name; empty: the model's only one. */
  readonly outputs: readonly string[];
  /** Threads that one inference may use, where the backend has the choice. */
  readonly threads: number;
}

/** A model in memory. Lives as long as its thread. */
export interface LoadedModel {
  /** One inference at a time. The outputs stand in the order that was asked for and belong to the caller. */
  run(input: Tensor): Promise<readonly Tensor[]>;
}

/** @throws CodedError BACKEND_UNAVAILABLE | MODEL_FILE_MISSING | MODEL_CORRUPT | MODEL_SHAPE */
export type LoadModel = (source: ModelSource) => Promise<LoadedModel>;

/** Backends that can run a format, best guess first; the last one runs everywhere. */
export const BACKENDS_OF: Readonly<Record<Manifest['format'], readonly BackendName[]>> = {
  'tfjs-graph': ['tfjs-webgpu', 'tfjs-node', 'tfjs-wasm'],
  onnx: ['onnx'],
};

/** These share one device between all inferences, so a second worker would only take its memory. */
export const ONE_WORKER_BACKENDS: ReadonlySet<BackendName> = new Set(['tfjs-webgpu', 'tfjs-node']);
