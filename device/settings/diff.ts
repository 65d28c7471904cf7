import type { KeyChange } from '../contract/config.ts';
import { canonicalJson } from './fingerprint.ts';
import { isTree, type Tree } from './tree.ts';

/** What differs between two configurations, key by key, in the order of the keys. Cameras go by their id. Pure. */
export function diffConfig(before: Tree, after: Tree): readonly KeyChange[] {
  return diffTrees(byId(before), byId(after), '');
}

function diffTrees(before: Tree, after: Tree, prefix: string): KeyChange[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((name): KeyChange[] => {
    const key = `${prefix}${name}`;
    const [old, now] = [before[name], after[name]];
    if (isTree(old) && isTree(now)) return diffTrees(old, now, `${key}.`);
    if (old === now || canonicalJson(old ?? null) === canonicalJson(now ?? null)) return [];
    return [
      { key, ...(old === undefined ? {} : { before: old }), ...(now === undefined ? {} : { after: now }) },
    ];
  });
}

/** The list of cameras as a group by id, so that a camera is compared with itself wherever it stands. */
function byId(config: Tree): Tree {
  const { cameras } = config;
  if (!Array.isArray(cameras)) return config;
  const named = cameras.map((camera: unknown, at) => [
    isTree(camera) && typeof camera['camera_id'] === 'string' ? camera['camera_id'] : String(at),
    camera,
  ]);
  return { ...config, cameras: Object.fromEntries(named) as Tree };
}
