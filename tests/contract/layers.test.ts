import { existsSync, globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { importsOf, violation } from './layers.ts';

const sources = globSync('{device,cloud-relay}/**/*.{ts,js}').sort();
const rooms = [...new Set(globSync('device/*/**/*.ts').map((file) => file.split('/')[1] ?? ''))].sort();

test('there is something to hold to the rule', () => {
  expect(rooms).toContain('contract');
  expect(sources.length).toBeGreaterThan(10);
});

test('rooms import the contract, the kernel and themselves; only the files that join rooms import rooms', () => {
  const violations = sources.flatMap((file) =>
    importsOf(readFileSync(file, 'utf8')).flatMap((specifier) => violation(file, specifier) ?? []),
  );
  expect(violations).toEqual([]);
});

test('every room has a face and says what it takes, gives, owns and must not know', () => {
  const faceless = new Set(['contract', 'kernel', 'cli']);
  const missing = rooms.flatMap((room) => {
    const files = faceless.has(room) ? ['README.md'] : ['README.md', 'index.ts'];
    return files.map((file) => `device/${room}/${file}`).filter((file) => !existsSync(file));
  });
  expect(missing, 'see device/contract/README.md for the form').toEqual([]);
  for (const room of rooms) {
    const text = readFileSync(`device/${room}/README.md`, 'utf8');
    for (const word of ['takes', 'gives', 'owns', 'must not know']) {
      expect(text, `device/${room}/README.md lacks "- **${word}**: …"`).toContain(`**${word}**`);
    }
  }
});

test('no source file outgrows one idea', () => {
  const limit = 400;
  // A table is one idea, however many rows it has.
  const tables = new Set(['device/contract/errors.ts', 'device/contract/topics.ts']);
  const long = sources.flatMap((file) => {
    if (tables.has(file)) return [];
    const lines = readFileSync(file, 'utf8').split('\n').length;
    return lines > limit ? [`${file} has ${lines} lines; split it by ideas (limit ${limit}).`] : [];
  });
  expect(long).toEqual([]);
});

test.each([
  ['device/motion/model.ts', '../contract/media.ts'],
  ['device/motion/model.ts', '../kernel/clock.ts'],
  ['device/motion/model.ts', './mask.ts'],
  ['device/motion/deep/model.ts', '../mask.ts'],
  ['device/kernel/log.ts', '../contract/errors.ts'],
  ['device/capture/demux.ts', 'node-av/lib'],
  ['device/camera.ts', './motion/index.ts'],
  ['device/cli/run.ts', '../app.ts'],
  ['device/main.ts', './cli/index.ts'],
  ['cloud-relay/main.ts', '../device/contract/topics.ts'],
  ['tests/unit/motion/model.test.ts', '../../../device/motion/mask.ts'],
])('%s may import %s', (file, specifier) => {
  expect(violation(file, specifier)).toBeNull();
});

test.each([
  [
    'device/motion/model.ts',
    '../capture/index.ts',
    'motion may import itself, device/contract/, device/kernel/',
  ],
  ['device/contract/facts.ts', '../kernel/clock.ts', 'contract may import itself.'],
  ['device/kernel/log.ts', '../settings/index.ts', 'kernel may import itself, device/contract/.'],
  ['device/record/writer.ts', 'node-av/lib', 'only device/capture/ may know'],
  ['device/camera.ts', './motion/mask.ts', 'by its face, device/motion/index.ts'],
  ['device/motion/model.ts', '../app.ts', 'take what you need as a parameter'],
  ['device/motion/model.ts', '../../tests/harness/footage.ts', 'must run without tests'],
  ['cloud-relay/main.ts', '../device/bus/index.ts', 'cloud-relay may import itself'],
])('%s may not import %s', (file, specifier, teaching) => {
  expect(violation(file, specifier)).toContain(teaching);
});

test('imports are found in every form, and not in comments', () => {
  const source = `
    import a from './a.ts';
    import type { B } from "./b.ts";
    import {
      c,
    } from './c.ts';
    export * from './d.ts';
    import './e.ts';
    const f = await import('./f.ts');
    type G = import('./g.ts').G;
    // import h from './h.ts';
    /* export * from './i.ts'; */
    const text = "from './j.ts'";
  `;
  expect([...importsOf(source)].sort()).toEqual(
    ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => `./${name}.ts`),
  );
});
