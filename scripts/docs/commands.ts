import { z } from 'zod';
import { commandRequest, COMMANDS } from '../../device/contract/commands.ts';
import type { SchemaNode } from '../../device/settings/index.ts';
import { code, heading, table } from './markdown.ts';
import { typeText } from './schema-text.ts';

export function commandsDocument(): string {
  const sections = Object.entries(COMMANDS).map(([name, { about, role, target, arguments: schema }]) => {
    const needs = target === null ? '' : `, about a ${target} (${code(TARGETS[target])})`;
    return `\n## ${name}\n\n${about}\n\nFor ${role} and above${needs}.\n\n${argumentsOf(schema)}`;
  });
  return `${heading('Commands', 'device/contract/commands.ts')}
Everything that can be asked of the agent, whatever way the request comes by. On the bus: publish to
\`dashboard.control.command\`, and read the answer with your \`request_id\` on \`dashboard.control.result\`.

${fields(z.toJSONSchema(commandRequest, { io: 'input' }) as SchemaNode)}${sections.join('')}`;
}

const TARGETS = { camera: 'camera_id', module: 'module' } as const;

/** One table for each form that the arguments may have. */
function argumentsOf(schema: z.ZodType): string {
  const node = z.toJSONSchema(schema, { io: 'input' }) as SchemaNode;
  const forms = node.anyOf ?? [node];
  return forms
    .map((form) => (Object.keys(form.properties ?? {}).length === 0 ? 'No arguments.\n' : fields(form)))
    .join('\nor\n\n');
}

const fields = (node: SchemaNode & { readonly required?: readonly string[] }): string =>
  table(
    ['argument', 'type', 'default'],
    Object.entries(node.properties ?? {}).map(([name, field]) => [
      code(name),
      typeText(field),
      field.default === undefined
        ? node.required?.includes(name)
          ? 'must be given'
          : ''
        : code(JSON.stringify(field.default)),
    ]),
  );
