import { CodedError } from '../contract/errors.ts';
import { problemsIn } from '../contract/problems.ts';
import {
  TOPICS,
  type Envelope,
  type Payload,
  type TopicName,
  type TopicPattern,
} from '../contract/topics.ts';
import type { Clock } from '../kernel/clock.ts';

export interface SealedMessage {
  readonly pattern: TopicPattern;
  readonly retain: boolean;
  /** JSON of envelope and payload, as it goes over the wire. */
  readonly json: string;
}

export type Sealer = <P extends TopicPattern>(topic: TopicName<P>, payload: Payload<P>) => SealedMessage;

const SCHEMA = '1.0.0' satisfies Envelope['schema'];

/**
 * Makes messages fit for the wire: checked against the table, stripped of fields the table does not know,
 * stamped with the time and with a number that counts up per topic from 1.
 * Throws PAYLOAD_INVALID; a refused message uses up no number.
 */
export function createSealer(clock: Clock): Sealer {
  const lastSeq = new Map<string, number>();
  return (topic, payload) => {
    const pattern = patternOf(topic);
    if (pattern === null) throw new CodedError('PAYLOAD_INVALID', `there is no topic "${topic}"`);
    const spec = TOPICS[pattern];
    const checked = spec.payload.safeParse(payload);
    if (!checked.success) {
      throw new CodedError('PAYLOAD_INVALID', `${topic}: ${problemsIn(checked.error, 'payload')}`);
    }
    const seq = (lastSeq.get(topic) ?? 0) + 1;
    lastSeq.set(topic, seq);
    const envelope: Envelope = { schema: SCHEMA, ts: clock.utcMs(), seq };
    return { pattern, retain: spec.retain, json: JSON.stringify({ ...envelope, ...checked.data }) };
  };
}

const PATTERNS = Object.keys(TOPICS) as TopicPattern[];
const FAMILIES = PATTERNS.filter((pattern) => pattern.endsWith('.*'));

/** null when the table has no such topic. */
export function patternOf(topic: string): TopicPattern | null {
  if (Object.hasOwn(TOPICS, topic) && !topic.endsWith('*')) return topic as TopicPattern;
  return FAMILIES.find((family) => isMember(topic, family.slice(0, -1))) ?? null;
}

const isMember = (topic: string, prefix: string): boolean =>
  topic.startsWith(prefix) && /^[a-z0-9_-]+$/.test(topic.slice(prefix.length));
