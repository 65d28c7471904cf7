/** A TensorFlow.js graph model from disk, for whichever TensorFlow.js runs it. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { io, NamedTensorMap, Tensor as TfTensor, tensor } from '@tensorflow/tfjs-core';
import type { GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter';
import { CodedError } from '../../contract/errors.ts';
import { inputDims, type Tensor } from '../tensor.ts';
import type { LoadedModel, ModelSource } from './backend.ts';
import { chooseOutputs, expectInput } from './shapes.ts';

/** The few functions we use; tfjs-core with tfjs-converter has them, and so has tfjs-node. */
export interface Tfjs {
  readonly tensor: typeof tensor;
  readonly io: Pick<typeof io, 'fromMemory'>;
  readonly loadGraphModel: typeof loadGraphModel;
}

export async function loadGraph(tf: Tfjs, source: ModelSource): Promise<LoadedModel> {
  const model = await readArtifacts(source.files)
    .then((artifacts) => tf.loadGraphModel(tf.io.fromMemory(artifacts)))
    .catch((error: unknown) => {
      throw CodedError.from(error, 'MODEL_CORRUPT');
    });
  const [first, ...others] = model.inputs;
  if (!first || others.length > 0)
    throw new CodedError('MODEL_SHAPE', `has ${model.inputs.length} inputs, expected 1`);
  expectInput(first.shape, inputDims(source.input));
  const outputs = chooseOutputs(source.outputs, model.outputNodes);
  const execute = executor(model, outputs);
  return {
    async run({ data, dims }) {
      const input = tf.tensor(data, [...dims], data instanceof Int32Array ? 'int32' : 'float32');
      let results: readonly TfTensor[] = [];
      try {
        results = await execute(input);
        return await Promise.all(results.map(read));
      } finally {
        input.dispose();
        for (const result of results) result.dispose();
      }
    },
  };
}

async function read(result: TfTensor): Promise<Tensor> {
  const data = await result.data();
  return { dims: result.shape, data: data instanceof Float32Array ? data : Int32Array.from(data) };
}

/** Loops and non-maximum suppression inside a graph need the slower asynchronous way. */
function executor(
  model: GraphModel,
  outputs: readonly string[],
): (input: TfTensor) => Promise<readonly TfTensor[]> {
  const names = [...outputs];
  let synchronous = true;
  return async (input) => {
    if (synchronous) {
      try {
        return listed(model.execute(input, names));
      } catch (error) {
        if (!String(error).includes('executeAsync')) throw error;
        synchronous = false;
      }
    }
    return listed(await model.executeAsync(input, names));
  };
}

const listed = (result: TfTensor | TfTensor[] | NamedTensorMap): readonly TfTensor[] =>
  Array.isArray(result) ? result : 'dispose' in result ? [result as TfTensor] : Object.values(result);

/** `model.json` as the TensorFlow.js converter writes it. */
interface GraphFile {
  readonly modelTopology: object;
  readonly weightsManifest: io.WeightsManifestConfig;
  readonly signature?: object;
  readonly userDefinedMetadata?: NonNullable<io.ModelArtifacts['userDefinedMetadata']>;
}

/** The weights in the order that the model names them, as one buffer. */
async function readArtifacts([
  modelFile = '',
  ...weightFiles
]: readonly string[]): Promise<io.ModelArtifacts> {
  const graph = JSON.parse(await readFile(modelFile, 'utf8')) as GraphFile;
  const { modelTopology, weightsManifest, signature, userDefinedMetadata } = graph;
  const shards = weightsManifest.flatMap(({ paths }) => paths);
  const parts = await Promise.all(
    shards.map((shard) => {
      const path = weightFiles.find((file) => basename(file) === basename(shard));
      if (path === undefined)
        throw new CodedError('MODEL_FILE_MISSING', `the manifest does not list ${shard}`);
      return readFile(path);
    }),
  );
  const weights = new Uint8Array(parts.reduce((total, { byteLength }) => total + byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    weights.set(part, offset);
    offset += part.byteLength;
  }
  return {
    modelTopology,
    ...(signature && { signature }),
    ...(userDefinedMetadata && { userDefinedMetadata }),
    weightSpecs: weightsManifest.flatMap((group) => group.weights),
    weightData: weights.buffer,
  };
}
