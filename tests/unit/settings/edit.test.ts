import fc from 'fast-check';
import { parse } from 'yaml';
import { expect, test } from 'vitest';
import { editConfig } from '../../../device/settings/edit.ts';
import { isTree, type Tree } from '../../../device/settings/tree.ts';

const FILE = `# my house
cameras:
  - camera_id: porch # the front
    rtsp_url: rtsp://192.0.2.10/live
    # it is dark there
    detection:
      fps: 5 # enough
  - camera_id: desk
    usb_port: 0
bus: { port: 1883 }
`;

test('comments and layout stay where nothing changes', () => {
  const text = editConfig(FILE, {
    cameras: { porch: { detection: { fps: 8 } } },
    metrics: { port: 9100 },
  });
  expect(text).toBe(`${FILE.replace('fps: 5 #', 'fps: 8 #')}metrics:\n  port: 9100\n`);
});

test('cameras by id: changed, added, removed; those not named stay', () => {
  const text = editConfig(FILE, { cameras: { desk: null, yard: { test_pattern: true } } });
  expect(parse(text)).toMatchObject({
    cameras: [
      { camera_id: 'porch', detection: { fps: 5 } },
      { camera_id: 'yard', test_pattern: true },
    ],
    bus: { port: 1883 },
  });
  expect(text).toContain('# it is dark there');
});

test.each(['', '# nothing yet\n', 'cameras: []\n', 'cameras:\n'])(
  'a file that says %j gets its first camera',
  (text) => {
    expect(parse(editConfig(text, { cameras: { porch: { test_pattern: true } } }))).toEqual({
      cameras: [{ camera_id: 'porch', test_pattern: true }],
    });
  },
);

/** RFC 7386 §2, as it stands there. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isTree(patch)) return patch;
  const result: Tree = isTree(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

const key = fc.constantFrom('a', 'b', 'c', 'long_key');
const leaf = fc.oneof(fc.integer(), fc.boolean(), fc.string(), fc.array(fc.integer(), { maxLength: 3 }));
const { tree } = fc.letrec((tie) => ({
  tree: fc.dictionary(key, fc.oneof({ depthSize: 'small' }, leaf, tie('tree')), { maxKeys: 3 }),
}));
const { patch } = fc.letrec((tie) => ({
  patch: fc.dictionary(key, fc.oneof({ depthSize: 'small' }, leaf, fc.constant(null), tie('patch')), {
    maxKeys: 3,
  }),
}));

test('apart from cameras it is a JSON merge patch', () => {
  fc.assert(
    fc.property(tree, patch, (before, changes) => {
      const text = JSON.stringify(before);
      expect(parse(editConfig(text, changes as Tree))).toEqual(mergePatch(before, changes));
    }),
  );
});
