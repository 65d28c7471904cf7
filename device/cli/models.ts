import type { BackendName } from '../contract/detect.ts';
import { CodedError } from '../contract/errors.ts';
import { addModel, benchModels, listModels, verifyModel, type ModelSummary } from '../detect/index.ts';
import { loadSettings } from '../settings/index.ts';
import { friendlyPath, loadOptions, parse, parseBackend, PLACES, PLACES_HELP, type Verb } from './verb.ts';

const HELP = `
usage: spyoncino models list
       spyoncino models add ID [--from FILE]
       spyoncino models verify [ID…]
       spyoncino models bench [ID…] [--backend NAME]

  list      models we know: installed, available to add, or damaged
  add       install a model from its official address, or from a file or directory you have
  verify    read every byte of installed models and compare with their SHA-256
  bench     measure models on the backends this machine has

  --from PATH     take the files from here instead of downloading them
  --backend NAME  tfjs-wasm, tfjs-webgpu, tfjs-node or onnx
  --json          one JSON object per line
${PLACES_HELP}
`;

interface Call {
  readonly ids: readonly string[];
  readonly dataDir: string;
  readonly json: boolean;
  readonly from: string | undefined;
  readonly backend: BackendName | undefined;
}

export const verb: Verb = {
  help: HELP,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      {
        ...PLACES,
        from: { type: 'string' },
        backend: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
      true,
    );
    const [action = 'list', ...ids] = positionals;
    const known = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (!known) throw new CodedError('USAGE', `models takes list, add, verify or bench, not "${action}"`);
    const backend = values.backend === undefined ? undefined : parseBackend(values.backend);
    const { settings } = await loadSettings(loadOptions(values));
    return await known({
      ids,
      dataDir: settings.dataDir,
      json: values.json,
      from: values.from,
      backend: backend === 'auto' ? undefined : backend,
    });
  },
};

const ACTIONS: Readonly<Record<string, (call: Call) => Promise<number>>> = {
  async list({ dataDir, json }) {
    for (const model of await listModels(dataDir)) print(model, json);
    return 0;
  },

  async add({ ids, dataDir, from }) {
    const [id, ...more] = ids;
    if (id === undefined || more.length > 0) throw new CodedError('USAGE', 'models add takes one ID');
    const directory = await addModel({
      dataDir,
      id,
      ...(from === undefined ? {} : { from }),
      onProgress({ file, doneBytes, totalBytes }) {
        if (!process.stderr.isTTY) return;
        const share = totalBytes
          ? ` of ${megabytes(totalBytes)} (${Math.round((100 * doneBytes) / totalBytes)} %)`
          : '';
        process.stderr.write(`\r\u001b[K${file}: ${megabytes(doneBytes)}${share}`);
      },
    });
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
    process.stdout.write(`${id} is installed in ${friendlyPath(directory)}\n`);
    return 0;
  },

  async verify({ ids, dataDir, json }) {
    const installed = (await listModels(dataDir))
      .filter(({ state }) => state !== 'available')
      .map(({ id }) => id);
    let damaged = 0;
    for (const id of ids.length > 0 ? ids : installed) {
      const model = await verifyModel(dataDir, id);
      if (model.state !== 'installed') damaged += 1;
      print(model, json);
    }
    return damaged > 0 ? 1 : 0;
  },

  async bench({ ids, dataDir, json, backend }) {
    if (!json) process.stdout.write(row(['model', 'backend', 'inference', 'around it', 'start']));
    const results = await benchModels({
      dataDir,
      ...(ids.length > 0 ? { ids } : {}),
      ...(backend === undefined ? {} : { backends: [backend] }),
      onProgress(result) {
        if (json) {
          process.stdout.write(`${JSON.stringify(result)}\n`);
          return;
        }
        const { modelId, backend: on, outcome } = result;
        if (outcome.ok) {
          const { inferenceMs, overheadMs, startMs } = outcome.measured;
          process.stdout.write(
            row([modelId, on, ...[inferenceMs, overheadMs, startMs].map((ms) => `${ms.toFixed(1)} ms`)]),
          );
        } else process.stdout.write(`${row([modelId, on]).trimEnd()}  ${outcome.problem.message}\n`);
      },
    });
    return results.some(({ outcome }) => outcome.ok) ? 0 : 1;
  },
};

function print(model: ModelSummary, json: boolean): void {
  const { id, manifest, origin, state, problem } = model;
  if (json) {
    const { decoder = null, format = null, input = null, licence = null } = manifest ?? {};
    process.stdout.write(
      `${JSON.stringify({ id, state, origin, format, decoder, input, licence, problem })}\n`,
    );
    return;
  }
  const what = manifest
    ? `${manifest.format}, ${manifest.input.width}×${manifest.input.height}, ${manifest.decoder.name}, ${manifest.licence}`
    : '';
  process.stdout.write(row([id, state, what]));
  if (state === 'damaged' && problem) process.stdout.write(`  ${problem.message}\n  ${problem.advice}\n`);
}

const row = (cells: readonly string[]): string =>
  `${cells
    .map((cell, index) => cell.padEnd(index < 2 ? 16 : 12))
    .join(' ')
    .trimEnd()}\n`;

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
