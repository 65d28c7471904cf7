/** Dotted topic names (what people type) ⇔ MQTT topics, and globs over dotted names. */
import { CodedError } from '../contract/errors.ts';

export const ROOT = 'spyoncino';

/** `event.new` of node `attic` is `spyoncino/attic/event/new`. */
export const topicToMqtt = (nodeId: string, topic: string): string =>
  `${ROOT}/${nodeId}/${topic.replaceAll('.', '/')}`;

/** The dotted name; null when `mqttTopic` is not one of `nodeId`. A `nodeId` of null takes any node. */
export function mqttToTopic(nodeId: string | null, mqttTopic: string): string | null {
  const [root, node, ...segments] = mqttTopic.split('/');
  if (root !== ROOT || segments.length === 0) return null;
  return nodeId === null || nodeId === node ? segments.join('.') : null;
}

/** The node whose topic it is; `mqttToTopic` tells whether it is one. */
export const nodeIn = (mqttTopic: string): string => mqttTopic.split('/')[1] ?? '';

/** Whether an MQTT filter takes an MQTT topic (3.1.1 §4.7). */
export function filterTakes(filter: string, topic: string): boolean {
  const wanted = filter.split('/');
  const levels = topic.split('/');
  if (isSystemTopic(topic) && wanted[0] !== levels[0]) return false;
  for (const [at, level] of wanted.entries()) {
    if (level === '#') return levels.length >= at;
    if (at >= levels.length || (level !== '+' && level !== levels[at])) return false;
  }
  return wanted.length === levels.length;
}

/** Of the broker itself: wildcards do not take them. */
export const isSystemTopic = (topic: string): boolean => topic.startsWith('$');

/**
 * Whether `topic` fits `glob`. Both are dotted; wildcards stand for whole segments:
 * `*` at the end is one or more segments, `*` elsewhere exactly one, `**` one or more anywhere.
 * So `status.*` fits `status.bus` and `status.camera.porch`, but not `status`.
 * Throws USAGE when `glob` is not one.
 */
export const matches = (glob: string, topic: string): boolean => fits(parseGlob(glob), topic.split('.'));

/**
 * The MQTT filter (MQTT 3.1.1 §4.7) of `glob` for one node, or for any. MQTT knows fewer wildcards, so the
 * filter may let more through than the glob; `matches` sorts that out. Throws USAGE when `glob` is not one.
 */
export function globToFilter(glob: string, nodeId: string | null = null): string {
  const segments = parseGlob(glob);
  const open = segments.findIndex((segment, at) => isOpen(segment, at === segments.length - 1));
  const kept = segments
    .slice(0, open === -1 ? undefined : open)
    .map((segment) => (segment === '*' ? '+' : segment));
  return [ROOT, nodeId ?? '+', ...kept, ...(open === -1 ? [] : ['#'])].join('/');
}

/** Stands for one or more segments. */
const isOpen = (segment: string, last: boolean): boolean => segment === '**' || (segment === '*' && last);

function fits([head, ...rest]: readonly string[], [segment, ...others]: readonly string[]): boolean {
  if (head === undefined || segment === undefined) return head === segment;
  if (isOpen(head, rest.length === 0)) {
    return rest.length === 0 || others.some((_, at) => fits(rest, others.slice(at)));
  }
  return (head === '*' || head === segment) && fits(rest, others);
}

function parseGlob(glob: string): readonly string[] {
  const segments = glob.split('.');
  if (segments.every((segment) => segment === '*' || segment === '**' || /^[^*+#/\s]+$/.test(segment))) {
    return segments;
  }
  throw new CodedError('USAGE', `"${glob}" is not a topic; write it like event.new, status.* or *`);
}
