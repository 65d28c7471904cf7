import { isMap, isScalar, isSeq, parseDocument, type Document, type YAMLMap, type YAMLSeq } from 'yaml';
import { isTree, type Tree } from './tree.ts';

/**
 * The text of config.yaml with `changes` merged in: a JSON merge patch (RFC 7386) whose `cameras` may be a
 * group by id. Comments and layout of what is not touched stay. `text` must be valid YAML whose top is a map or
 * nothing.
 */
export function editConfig(text: string, changes: Tree): string {
  const document = parseDocument(text);
  const contents: unknown = document.contents;
  const root = isMap(contents) ? contents : newMap(document, {});
  if (root !== contents) (document as Document).contents = root;
  for (const [key, value] of Object.entries(changes)) {
    if (key === 'cameras' && isTree(value)) mergeCameras(document, root, value);
    else merge(document, root, key, value);
  }
  return document.toString({ lineWidth: 0 });
}

function merge(document: Document, map: YAMLMap, key: string, value: unknown): void {
  if (value === null) {
    map.delete(key);
    return;
  }
  const existing: unknown = map.get(key, true);
  if (!isTree(value)) {
    // A scalar keeps the comment that stands behind it.
    if (isScalar(existing) && !Array.isArray(value)) existing.value = value;
    else map.set(key, document.createNode(value));
    return;
  }
  const target = isMap(existing) ? existing : newMap(document, {});
  if (target !== existing) map.set(key, target);
  target.flow = target.items.length > 0 && target.flow === true;
  for (const [name, child] of Object.entries(value)) merge(document, target, name, child);
}

function mergeCameras(document: Document, root: YAMLMap, changes: Tree): void {
  const existing: unknown = root.get('cameras', true);
  const list = isSeq(existing) ? existing : (document.createNode([]) as YAMLSeq);
  if (list !== existing) root.set('cameras', list);
  for (const [id, change] of Object.entries(changes)) {
    const at = list.items.findIndex((item) => isMap(item) && item.get('camera_id') === id);
    if (change === null) {
      if (at >= 0) list.items.splice(at, 1);
      continue;
    }
    const found = list.items[at];
    const camera = isMap(found) ? found : newMap(document, { camera_id: id });
    if (camera !== found) list.items.push(camera);
    list.flow = false;
    for (const [name, value] of Object.entries(isTree(change) ? change : {}))
      merge(document, camera, name, value);
  }
}

const newMap = (document: Document, value: Tree): YAMLMap => document.createNode(value) as YAMLMap;
