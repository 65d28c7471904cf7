/** TensorFlow.js on WebAssembly with SIMD. In Node it has one thread: use one worker per core. */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { CodedError } from '../../contract/errors.ts';
import type { LoadModel } from './backend.ts';
import { loadGraph } from './graph.ts';

export const load: LoadModel = async (source) => {
  const [core, converter, wasm] = await Promise.all([
    import('@tensorflow/tfjs-core'),
    import('@tensorflow/tfjs-converter'),
    import('@tensorflow/tfjs-backend-wasm'),
  ]);
  // Without this mode every kernel checks its results for NaN and the first one greets us on the console.
  core.enableProdMode();
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(dirname(entry) + sep);
  if (!(await core.setBackend('wasm')))
    throw new CodedError('BACKEND_UNAVAILABLE', 'WebAssembly does not start');
  return loadGraph({ tensor: core.tensor, io: core.io, loadGraphModel: converter.loadGraphModel }, source);
};
