/** Entry of a worker thread: one model on one backend. Any failure ends the thread; its owner replaces it. */
import { parentPort, workerData } from 'node:worker_threads';
import type { BackendName, Detection } from '../contract/detect.ts';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import { backendLoader } from './backends/index.ts';
import { createDecoder, toDetections } from './decoders/index.ts';
import type { Manifest } from './manifest.ts';
import { createInputWriter, cropBytes } from './tensor.ts';

export interface ThreadStart {
  readonly backend: BackendName;
  readonly manifest: Manifest;
  readonly files: readonly string[];
  readonly labels: readonly string[];
  readonly threads: number;
}

/** One crop; its bytes move into the thread. */
export interface ThreadRequest {
  readonly rgb: Uint8Array<ArrayBuffer>;
}

export type ThreadMessage =
  /** `firstRunMs`: time in the model for the first crop, with whatever it makes ready then. */
  | { readonly type: 'ready'; readonly firstRunMs: number }
  | { readonly type: 'failed'; readonly reason: ErrorReport }
  | { readonly type: 'done'; readonly detections: readonly Detection[]; readonly runMs: number };

/** Grey as of a letterbox; a model that answers it at all has the shapes that its manifest promises. */
const WARM_UP_GREY = 114;

type Done = Extract<ThreadMessage, { type: 'done' }>;

async function prepare(start: ThreadStart): Promise<(rgb: Uint8Array) => Promise<Done>> {
  const { backend, manifest, files, labels, threads } = start;
  const { input, minScore } = manifest;
  const decoder = createDecoder(manifest.decoder, { input, classes: labels.length, minScore });
  const load = await backendLoader(backend);
  const model = await load({ files, input, outputs: decoder.outputs, threads });
  const write = createInputWriter(input);
  return async (rgb) => {
    const tensor = write(rgb);
    const startedMs = performance.now();
    const outputs = await model.run(tensor);
    const runMs = performance.now() - startedMs;
    return { type: 'done', detections: toDetections(decoder.decode(outputs), labels, manifest), runMs };
  };
}

async function main(start: ThreadStart, send: (message: ThreadMessage) => void): Promise<void> {
  let detect;
  let first;
  try {
    detect = await prepare(start);
    first = await detect(new Uint8Array(cropBytes(start.manifest.input)).fill(WARM_UP_GREY));
  } catch (error) {
    send({ type: 'failed', reason: CodedError.from(error, 'DETECTOR_FAILED').report() });
    return;
  }
  parentPort?.on('message', ({ rgb }: ThreadRequest) => {
    // A rejection is left unhandled on purpose: it ends the thread, and with it whatever state is broken.
    void detect(rgb).then(send);
  });
  send({ type: 'ready', firstRunMs: first.runMs });
}

await main(workerData as ThreadStart, (message) => parentPort?.postMessage(message));
