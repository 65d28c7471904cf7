/**
 * TensorFlow.js on WebGPU: Dawn in process, Vulkan below it. `VK_DRIVER_FILES` chooses the driver.
 * The adapter is asked for here first, because Dawn and TensorFlow.js fail without one in ways nobody can read.
 */
import { CodedError } from '../../contract/errors.ts';
import type { LoadModel } from './backend.ts';
import { loadGraph } from './graph.ts';
import { vulkanDrivers } from './vulkan.ts';

export const load: LoadModel = async (source) => {
  if (vulkanDrivers(process.env).length === 0)
    throw new CodedError('BACKEND_UNAVAILABLE', 'no Vulkan driver is installed');
  const { create, globals } = await import('webgpu').catch((error: unknown) => {
    throw new CodedError('BACKEND_UNAVAILABLE', (error as Error).message, { cause: error });
  });
  Object.assign(globalThis, globals);
  const gpu = create([]);
  if (!(await gpu.requestAdapter({ powerPreference: 'high-performance' })))
    throw new CodedError('BACKEND_UNAVAILABLE', 'no GPU answers through Vulkan');
  // TensorFlow.js looks here when it is imported; holding `gpu` also keeps Dawn alive.
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu });
  const [core, converter] = await Promise.all([
    import('@tensorflow/tfjs-core'),
    import('@tensorflow/tfjs-converter'),
  ]);
  await import('@tensorflow/tfjs-backend-webgpu');
  core.enableProdMode();
  if (!(await core.setBackend('webgpu')))
    throw new CodedError('BACKEND_UNAVAILABLE', 'WebGPU does not start');
  return loadGraph({ tensor: core.tensor, io: core.io, loadGraphModel: converter.loadGraphModel }, source);
};
