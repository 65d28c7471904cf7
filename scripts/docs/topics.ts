import { z } from 'zod';
import type { Role } from '../../device/contract/access.ts';
import { envelope, TOPICS } from '../../device/contract/topics.ts';
import type { SchemaNode } from '../../device/settings/index.ts';
import { code, heading, table } from './markdown.ts';
import { typeText } from './schema-text.ts';

export function topicsDocument(): string {
  const sections = Object.entries(TOPICS).map(
    ([name, spec]) => `\n## ${name}\n\n${spec.about}${manner(spec)}\n\n${fields(spec.payload)}`,
  );
  return `${heading('Topics', 'device/contract/topics.ts')}
Every message on the bus. Dotted names are for people; on MQTT \`event.new\` of node \`attic\` is
\`spyoncino/attic/event/new\`. Payloads are JSON. Clients may read everything, and publish only where it is said;
what they publish reaches the agent and no other client, and needs none of the common fields.
A \`*\` in a name here stands for one segment; in \`spyoncino subscribe\` a \`*\` at the end stands for
everything below.

Every payload begins with

${fields(envelope)}${sections.join('')}`;
}

const manner = (spec: { readonly retain: boolean; readonly request?: Role }): string =>
  [
    spec.retain ? ' Retained: who subscribes gets the latest at once.' : '',
    spec.request ? ` Clients from role ${spec.request} on may publish here.` : '',
  ].join('');

const fields = (payload: z.ZodObject): string =>
  table(['field', 'type', ''], rows(z.toJSONSchema(payload) as SchemaNode));

const rows = (node: SchemaNode, prefix = ''): string[][] =>
  Object.entries(node.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const inner = field.items?.properties
      ? { node: field.items, name: `${path}[]` }
      : { node: inside(field), name: path };
    return [[code(path), typeText(field), field.description ?? '']].concat(
      rows(inner.node, `${inner.name}.`),
    );
  });

/** The object behind "object or null". */
const inside = (field: SchemaNode): SchemaNode => field.anyOf?.find(({ properties }) => properties) ?? field;
