/** A model on a backend of its own thread, so that no two TensorFlow.js backends share a process-wide state. */
import { parentPort, Worker, workerData } from 'node:worker_threads';
import type { BackendName } from '../../../device/contract/detect.ts';
import { backendLoader, type ModelSource } from '../../../device/detect/backends/index.ts';
import { loadGraph } from '../../../device/detect/backends/graph.ts';
import type { Tensor } from '../../../device/detect/tensor.ts';

/** `tfjs-cpu` is TensorFlow.js in plain JavaScript: slow, and the reference for the others. */
type Reference = BackendName | 'tfjs-cpu';

interface Job {
  readonly backend: Reference;
  readonly source: ModelSource;
  readonly input: Tensor;
}

/** Loads, runs a few times, and ends; rejects when the runs left tensors behind. Resolves to the last outputs. */
export async function runOn(
  backend: Reference,
  source: ModelSource,
  input: Tensor,
): Promise<readonly Tensor[]> {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { backend, source, input } satisfies Job,
  });
  try {
    return await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  } finally {
    await worker.terminate();
  }
}

async function loadOnCpu(source: ModelSource) {
  const [core, { loadGraphModel }] = await Promise.all([
    import('@tensorflow/tfjs-core'),
    import('@tensorflow/tfjs-converter'),
  ]);
  await import('@tensorflow/tfjs-backend-cpu');
  core.enableProdMode();
  await core.setBackend('cpu');
  return loadGraph({ tensor: core.tensor, io: core.io, loadGraphModel }, source);
}

if (parentPort) {
  const { backend, source, input } = workerData as Job;
  const load = backend === 'tfjs-cpu' ? loadOnCpu : await backendLoader(backend);
  const model = await load(source);
  const { memory } = await import('@tensorflow/tfjs-core');
  await model.run(input);
  const { numTensors } = memory();
  const outputs = await model.run(input);
  if (memory().numTensors !== numTensors)
    throw new Error(`${memory().numTensors - numTensors} tensors were left behind`);
  parentPort.postMessage(outputs);
}
