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
  readonly properties?: Readonly<Record<string, Schema>>;
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
      return fc.record(
        Object.fromEntries(
          Object.entries(schema.properties ?? {}).map(([key, field]) => [key, valueOf(field)]),
        ),
      );
    case 'array':
      return fc.array(valueOf(schema.items ?? {}), { maxLength: 3 });
    case 'string':
      return schema.pattern ? fc.stringMatching(new RegExp(schema.pattern)) : fc.string({ unit: 'grapheme' });
    case 'integer':
      return fc.maxSafeInteger().filter((value) => value >= min && value <= max);
    case 'number':
      // JSON has no -0.
      return fc.double({ min, max, noNaN: true }).map((value) => value + 0);
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      throw new Error(`no values for ${JSON.stringify(schema)}`);
  }
}
