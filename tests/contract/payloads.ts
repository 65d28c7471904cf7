import fc from 'fast-check';
import { z } from 'zod';
import { TOPICS, type TopicPattern } from '../../device/contract/topics.ts';

/** Payloads that fit a topic's schema, made from that schema. */
export const payloadOf = (pattern: TopicPattern): fc.Arbitrary<unknown> =>
  valueOf(z.toJSONSchema(TOPICS[pattern].payload) as Schema);

interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** `{}`: anything. */
  readonly additionalProperties?: Schema | false;
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
}

function valueOf(schema: Schema): fc.Arbitrary<unknown> {
  const { minimum: min = -1e15, maximum: max = 1e15 } = schema;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(valueOf));
  if (schema.prefixItems) return fc.tuple(...schema.prefixItems.map(valueOf));
  if (Array.isArray(schema.type)) {
    return fc.oneof(...schema.type.map((type: string) => valueOf({ ...schema, type })));
  }
  switch (schema.type) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return fc.array(valueOf(schema.items ?? {}), { maxLength: 3 });
    case 'string':
      if (schema.pattern) return fc.stringMatching(new RegExp(schema.pattern));
      return fc.string({ unit: 'grapheme' }).filter(({ length }) => length <= (schema.maxLength ?? Infinity));
    case 'integer':
      return fc.maxSafeInteger().filter((value) => value >= min && value <= max);
    case 'number':
      // JSON has no -0.
      return fc.double({ min, max, noNaN: true }).map((value) => value + 0);
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case undefined:
      return anything;
    default:
      throw new Error(`no values for ${JSON.stringify(schema)}`);
  }
}

/** With any of its optional fields, and with more where it takes more. */
function objectOf({ properties = {}, required = [], additionalProperties }: Schema): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(Object.entries(properties).map(([key, field]) => [key, valueOf(field)]));
  const known = fc.record(fields, { requiredKeys: [...required] });
  if (!additionalProperties) return known;
  const key = fc.string().filter((name) => !RESERVED.has(name) && !Object.hasOwn(properties, name));
  const more = fc.dictionary(key, valueOf(additionalProperties), { maxKeys: 3 });
  return fc.tuple(known, more).map(([some, others]) => Object.assign(others, some));
}

/** What the bus adds itself, and what is no ordinary key in JavaScript. */
const RESERVED = new Set(['schema', 'ts', 'seq', '__proto__']);

/** JSON has no -0. */
const anything = fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
