import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseManifest } from '../../../device/detect/manifest.ts';

const BUILT_IN = new URL('../../../device/detect/models/', import.meta.url);
const textOf = (id: string): string => readFileSync(new URL(`${id}/model.yaml`, BUILT_IN), 'utf8');

test.each(readdirSync(BUILT_IN))(
  'the built-in description of %s is valid and says where it comes from',
  (id) => {
    const manifest = parseManifest(textOf(id), id);
    expect(manifest.id).toBe(id);
    for (const file of manifest.files) expect(file.package ?? file.url, file.path).toBeDefined();
  },
);

const changed = (change: (model: Record<string, unknown>) => void): string => {
  const model = parse(textOf('centernet')) as Record<string, unknown>;
  change(model);
  return stringify(model);
};

test.each<[string, string, RegExp]>([
  ['no YAML', 'a: [', /model\.yaml/],
  ['an unknown key', changed((model) => (model['colour'] = 'rgb')), /colour/],
  ['a missing key', changed((model) => delete model['licence']), /licence/],
  [
    'a path that leaves the directory',
    changed((m) => (m['files'] = [{ path: '../x', sha256: 'a'.repeat(64) }])),
    /files\.0\.path/,
  ],
  [
    'an absolute path',
    changed((m) => (m['files'] = [{ path: '/etc/passwd', sha256: 'a'.repeat(64) }])),
    /files\.0\.path/,
  ],
  ['an unknown decoder', changed((model) => (model['decoder'] = { name: 'magic' })), /decoder/],
  ['an id that is a path', changed((model) => (model['id'] = '../x')), /id/],
  [
    'an address that is not of the web',
    changed((m) => (m['files'] = [{ path: 'x', sha256: 'a'.repeat(64), url: 'file:///etc/passwd' }])),
    /url/,
  ],
])('%s is refused, and named', (_, text, names) => {
  expect(() => parseManifest(text, 'model.yaml')).toThrow(
    expect.objectContaining({
      code: 'MODEL_MANIFEST_INVALID',
      message: expect.stringMatching(names) as string,
    }),
  );
});
