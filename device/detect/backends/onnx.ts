/** ONNX Runtime on the CPU. */
import { CodedError } from '../../contract/errors.ts';
import { inputDims, type Tensor } from '../tensor.ts';
import type { LoadModel } from './backend.ts';
import { chooseOutputs, expectInput } from './shapes.ts';

export const load: LoadModel = async ({ files, input, outputs, threads }) => {
  const { InferenceSession, Tensor: OnnxTensor } = await import('onnxruntime-node').catch(
    (error: unknown) => {
      throw new CodedError('BACKEND_UNAVAILABLE', (error as Error).message, { cause: error });
    },
  );
  const session = await InferenceSession.create(files[0] ?? '', {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  }).catch((error: unknown) => {
    throw new CodedError('MODEL_CORRUPT', (error as Error).message, { cause: error });
  });
  const [first, ...others] = session.inputMetadata;
  if (!first?.isTensor || others.length > 0)
    throw new CodedError('MODEL_SHAPE', `has ${session.inputMetadata.length} inputs, expected 1 tensor`);
  expectInput(first.shape, inputDims(input));
  const names = chooseOutputs(outputs, session.outputNames);
  return {
    async run({ data, dims }) {
      const tensor =
        data instanceof Float32Array
          ? new OnnxTensor('float32', data, dims)
          : new OnnxTensor('int32', data, dims);
      const results = await session.run({ [first.name]: tensor }, [...names]);
      return names.map((name): Tensor => {
        const { data: values, dims: shape } = results[name]!;
        return {
          dims: shape,
          data: values instanceof Float32Array ? values : Int32Array.from(values as Int32Array),
        };
      });
    },
  };
};
