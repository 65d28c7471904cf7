import type { BackendName } from '../../contract/detect.ts';
import type { LoadModel } from './backend.ts';

export { BACKENDS_OF, ONE_WORKER_BACKENDS, type LoadedModel, type ModelSource } from './backend.ts';

/** Each is imported only where it runs: inside a worker. */
const MODULES: Readonly<Record<BackendName, () => Promise<{ readonly load: LoadModel }>>> = {
  'tfjs-wasm': () => import('./tfjs-wasm.ts'),
  'tfjs-webgpu': () => import('./tfjs-webgpu.ts'),
  'tfjs-node': () => import('./tfjs-node.ts'),
  onnx: () => import('./onnx.ts'),
};

export async function backendLoader(name: BackendName): Promise<LoadModel> {
  const { load } = await MODULES[name]();
  return load;
}
