/** TensorFlow.js on libtensorflow, if the owner of the machine installed `@tensorflow/tfjs-node`. */
import { CodedError } from '../../contract/errors.ts';
import type { LoadModel } from './backend.ts';
import { loadGraph, type Tfjs } from './graph.ts';

/** Not a dependency: its installation downloads libtensorflow and may compile. */
const PACKAGE: string = '@tensorflow/tfjs-node';

export const load: LoadModel = async (source) => {
  let tf: Tfjs & { enableProdMode(): void };
  try {
    tf = (await import(PACKAGE)) as typeof tf;
  } catch (error) {
    throw new CodedError('BACKEND_UNAVAILABLE', `${PACKAGE} is not installed or does not start`, {
      cause: error,
    });
  }
  tf.enableProdMode();
  return loadGraph(tf, source);
};
