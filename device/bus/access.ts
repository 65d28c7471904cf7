/**
 * What a client may do. Deny by default: it may read this node's topics, and nothing else. Users, roles and
 * commands will be decided here as well.
 */
import { ROOT } from './names.ts';

/** Commands have one door, and it is not open yet. */
export const mayPublish = (): boolean => false;

/** `+` for the node and `#` in its place are harmless: a broker carries the topics of its own node only. */
export function maySubscribe(nodeId: string, filter: string): boolean {
  const [root, node, ...rest] = filter.split('/');
  if (root !== ROOT) return false;
  return node === '#' ? rest.length === 0 : (node === nodeId || node === '+') && rest.length > 0;
}
