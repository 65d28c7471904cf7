import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { ConfigInput } from '../../../device/settings/index.ts';
import { configs } from './arbitrary.ts';
import { load, refusal } from './config-dir.ts';

const RUNS = { numRuns: 40 };

/** Every map in `value`, with the path to it. */
function* mapsIn(
  value: unknown,
  path: readonly string[] = [],
): Generator<[string[], Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [[...path], value as Record<string, unknown>];
  for (const [key, child] of Object.entries(value)) yield* mapsIn(child, [...path, key]);
}

/** The same configuration as variables: one for each key of each section and of each camera. */
function asEnvironment({ cameras = [], ...sections }: ConfigInput): Record<string, string> {
  const env: Record<string, string> = {};
  const set = (path: readonly string[], value: unknown): void => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    env[`SPYONCINO_${path.join('__').toUpperCase().replaceAll('-', '_')}`] = text;
  };
  const deep = (path: readonly string[], value: unknown): void => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return set(path, value);
    for (const [key, child] of Object.entries(value)) deep([...path, key], child);
  };
  deep([], sections);
  for (const { camera_id, ...keys } of cameras) {
    set(['cameras', camera_id, 'camera_id'], camera_id);
    for (const [key, value] of Object.entries(keys))
      if (value !== null) set(['cameras', camera_id, key], value);
  }
  return env;
}

test('whatever is allowed is accepted, and means the same after another way through YAML', async () => {
  await fc.assert(
    fc.asyncProperty(configs, async (config) => {
      const once = await load({ config: stringify(config) }, { configFile: 'config.yaml' });
      const flow = await load({ config: JSON.stringify(config) });
      expect(once.settings.cameras.map(({ cameraId }) => cameraId)).toEqual(
        (config.cameras ?? []).map(({ camera_id }) => camera_id),
      );
      expect(withoutPlace(flow)).toEqual(withoutPlace(once));
    }),
    RUNS,
  );
});

test('whatever a file says, it is accepted, or refused with a code', async () => {
  const key = fc.constantFrom(
    'cameras',
    'camera_id',
    'bus',
    'port',
    'zones',
    'rate_limit',
    'camera',
    '__proto__',
    '<<',
  );
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null)),
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.dictionary(fc.oneof(key, fc.string()), tie('tree'), { maxKeys: 4 }),
    ),
  }));
  const marks = fc.array(
    fc.constantFrom(
      ...[
        'cameras:',
        '- ',
        '\n',
        '  ',
        '{',
        '[',
        '&a',
        '*a',
        '!!binary',
        '"',
        ': ',
        '|',
        '---',
        '\0',
        '\t',
        'bus',
      ],
    ),
    { maxLength: 20 },
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 100 }),
    marks.map((parts) => parts.join('')),
    tree.map((value) => JSON.stringify(value) ?? ''),
  );
  await fc.assert(
    fc.asyncProperty(text, text, async (config, secrets) => {
      const error = await load({ config, secrets }).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      if (error !== null) expect(error).toMatchObject({ code: expect.stringMatching(/^CONFIG_/) });
    }),
    { numRuns: 300 },
  );
});

test('the environment says the same as the file', async () => {
  await fc.assert(
    fc.asyncProperty(configs, async (config) => {
      const fromFile = await load({ config });
      const fromEnvironment = await load(
        { config: { cameras: (config.cameras ?? []).map(({ camera_id }) => ({ camera_id })) } },
        { env: asEnvironment(config) },
      );
      expect(withoutPlace(fromEnvironment)).toEqual(withoutPlace(fromFile));
    }),
    RUNS,
  );
});

test('the environment wins over the file', async () => {
  await fc.assert(
    fc.asyncProperty(configs, configs, async (below, above) => {
      delete above.cameras;
      const layered = await load({ config: below }, { env: asEnvironment(above) });
      const expected = await load({ config: merged(below, above) });
      expect(withoutPlace(layered)).toEqual(withoutPlace(expected));
    }),
    RUNS,
  );
});

test('a key that is not known is refused by name, wherever it stands', async () => {
  await fc.assert(
    fc.asyncProperty(
      configs,
      fc.nat(),
      fc.constantFrom('zzz', '__proto__', 'toString'),
      async (config, pick, key) => {
        // Maps of free keys (labels) take any; their values do not.
        const maps = [...mapsIn(config)].filter(([path]) => path.at(-1) !== 'filters');
        const [, map] = maps[pick % maps.length]!;
        Object.defineProperty(map, key, { value: 1, enumerable: true, configurable: true, writable: true });
        const { code, message } = await refusal({ config: JSON.stringify(config) });
        expect(code).toBe('CONFIG_INVALID');
        expect(message).toContain(`${key} unknown key`);
      },
    ),
    RUNS,
  );
});

/** Directories differ from run to run; paths below them are compared by their names. */
const withoutPlace = ({ settings }: Awaited<ReturnType<typeof load>>): unknown =>
  JSON.parse(JSON.stringify(settings).replaceAll(/[^"]*spyoncino-config-\w{6}/g, '<dir>'));

function merged(below: unknown, above: unknown): unknown {
  const isMap = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isMap(below) || !isMap(above)) return above === undefined ? below : above;
  const keys = new Set([...Object.keys(below), ...Object.keys(above)]);
  return Object.fromEntries([...keys].map((key) => [key, merged(below[key], above[key])]));
}
