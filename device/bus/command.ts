import { randomUUID } from 'node:crypto';
import type { CommandRequest } from '../contract/commands.ts';
import { CodedError } from '../contract/errors.ts';
import { TOPICS, type Payload } from '../contract/topics.ts';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { connectionError, connectTo, type BusAddress } from './client.ts';
import { globToFilter, mqttToTopic, nodeIn, topicToMqtt } from './names.ts';

export interface CommandOptions extends BusAddress {
  /** Whom to ask; else the first node that is found there. */
  readonly node?: string;
  readonly request: Omit<CommandRequest, 'request_id'>;
  readonly timeoutMs: number;
  readonly clock?: Clock;
}

const ASK = 'dashboard.control.command';
const ANSWER = 'dashboard.control.result';
/** Retained, so it is there at once and says which node this is. */
const HERE = 'status.availability';

/**
 * Asks the agent for something and waits for what comes of it; that it said no is an answer too.
 * Throws BUS_UNREACHABLE, UNAUTHENTICATED, and COMMAND_TIMEOUT when no answer came.
 */
export async function command(options: CommandOptions): Promise<Payload<typeof ANSWER>> {
  const { request, node, timeoutMs, clock = systemClock } = options;
  const request_id = randomUUID();
  const client = await connectTo(options);
  const answered = Promise.withResolvers<Payload<typeof ANSWER>>();
  const over = new AbortController();
  const fail = (error: Error): void => answered.reject(connectionError(options, error));
  let asked = false;
  client.on('error', fail);
  client.on('close', () => fail(new Error('the connection was closed, as it is when nobody may ask here')));
  client.on('message', (mqttTopic, bytes) => {
    const topic = mqttToTopic(node ?? null, mqttTopic);
    if (topic === HERE && !asked) {
      asked = true;
      client.publish(topicToMqtt(nodeIn(mqttTopic), ASK), JSON.stringify({ ...request, request_id }), {
        qos: 1,
      });
    } else if (topic === ANSWER) {
      const answer = answerIn(bytes.toString());
      if (answer?.request_id === request_id) answered.resolve(answer);
    }
  });
  client.on('connect', () =>
    client.subscribe([HERE, ANSWER].map((topic) => globToFilter(topic, node ?? null))),
  );
  clock
    .sleep(timeoutMs, over.signal)
    .then(() => answered.reject(new CodedError('COMMAND_TIMEOUT', request.command)))
    .catch(() => {});
  try {
    return await answered.promise;
  } finally {
    over.abort();
    await client.endAsync(true);
  }
}

function answerIn(text: string): Payload<typeof ANSWER> | null {
  try {
    return TOPICS[ANSWER].payload.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
