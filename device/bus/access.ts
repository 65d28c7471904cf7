/** What a client may do. Deny by default. */
import { mayActAs, type Caller, type Role } from '../contract/access.ts';
import { TOPICS, type RequestTopic, type TopicPattern } from '../contract/topics.ts';
import { mqttToTopic, ROOT } from './names.ts';

/** What a client brings along to say who it is. */
export interface ClientCredentials {
  readonly username: string | null;
  /** A password, or the secret of a token. */
  readonly password: string | null;
  readonly address: string;
  /** Of its certificate, which our authority signed; hex. */
  readonly certificateSha256: string | null;
}

/** null, or a coded error: nobody. */
export type Authenticate = (credentials: ClientCredentials) => Promise<Caller | null>;

/** Programs on this machine, where the settings let them. */
export const ANONYMOUS: Caller = { user: 'anonymous', role: 'viewer', surface: 'mqtt' };

/**
 * Everybody who was let in may read this node's topics and what Home Assistant is told (`prefix`); admins also
 * the broker's counters. `+` for the node and `#` in its place are harmless: a broker carries the topics of its
 * own node only.
 */
export function maySubscribe(role: Role, nodeId: string, filter: string, prefix: string | null): boolean {
  const [root, node, ...rest] = filter.split('/');
  if (root === '$SYS') return mayActAs(role, 'admin') && node === 'broker' && rest.length > 0;
  if (root === prefix && prefix !== null) return true;
  if (root !== ROOT) return false;
  return node === '#' ? rest.length === 0 : (node === nodeId || node === '+') && rest.length > 0;
}

/** The topic, when a client of this role may publish on it; null: it may not, and on all others nobody may. */
export function requestOn(role: Role, nodeId: string, mqttTopic: string): RequestTopic | null {
  const topic = mqttToTopic(nodeId, mqttTopic);
  if (topic === null || !Object.hasOwn(TOPICS, topic)) return null;
  const spec: { readonly retain: boolean; readonly request?: Role } = TOPICS[topic as TopicPattern];
  return spec.request && mayActAs(role, spec.request) ? (topic as RequestTopic) : null;
}
