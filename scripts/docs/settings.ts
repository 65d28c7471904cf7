import { configJsonSchema, groupIn, type SchemaNode } from '../../device/settings/index.ts';
import { code, heading, table } from './markdown.ts';
import { typeText } from './schema-text.ts';

export function settingsDocument(): string {
  const schema = configJsonSchema();
  const sections = Object.entries(schema.properties ?? {}).map(([name, node]) => {
    const { items } = node;
    const about = node.description ? `${node.description}.\n\n` : '';
    return `\n## ${name}\n\n${about}${table(
      ['key', 'type', 'default', ''],
      items ? rows(items, `${name}[].`) : rows(node, `${name}.`),
    )}`;
  });
  return `${heading('Settings', 'device/settings/schema.ts')}
Keys of \`config.yaml\`. A key that is not here is refused, with the nearest one that is.

Three layers, later ones win:

1. \`config.yaml\` in the directory given by \`--config-dir\`, else \`/etc/spyoncino\` or \`config/\` of a checkout.
2. \`secrets.yaml\` beside it, readable by its owner only (\`chmod 600\`): \`cameras.<camera_id>.username\` and
   \`cameras.<camera_id>.password\`, \`bus.bridge.username\` and \`bus.bridge.password\`.
3. The environment: \`SPYONCINO_<SECTION>__<KEY>\`, as in \`SPYONCINO_BUS__PORT=1884\` or
   \`SPYONCINO_SYSTEM__LOGGING__LOG_LEVEL=debug\`. Cameras go by their id, in which \`-\` is written \`_\`:
   \`SPYONCINO_CAMERAS__PORCH__RTSP_URL=rtsp://…\`, \`SPYONCINO_CAMERAS__PORCH__PASSWORD=…\`; one that is not in
   the file is made. Lists and groups are written as YAML or JSON. An empty variable counts as unset.
${sections.join('')}`;
}

export function settingsJsonSchema(): string {
  const schema = { title: 'Spyoncino config.yaml', ...configJsonSchema() };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

const rows = (node: SchemaNode, prefix: string): string[][] =>
  Object.entries(node.properties ?? {}).flatMap(([name, field]) => keyRows(`${prefix}${name}`, field, node));

function keyRows(path: string, field: SchemaNode, parent: SchemaNode): string[][] {
  if (field.type === 'object' && field.properties) return rows(field, `${path}.`);
  const optional = groupIn(field);
  const required = parent.required?.includes(path.split('.').at(-1) ?? '') ?? false;
  const perKey = typeof field.additionalProperties === 'object' ? field.additionalProperties : null;
  const inner = perKey
    ? rows(perKey, `${path}.<name>.`)
    : field.items?.properties
      ? rows(field.items, `${path}[].`)
      : optional === field
        ? []
        : rows(optional, `${path}.`);
  return [
    [
      code(path),
      typeText(field).replace(/ or null$/, ''),
      required ? 'required' : defaultText(field),
      field.description ?? '',
    ],
    ...inner,
  ];
}

const defaultText = ({ default: value }: SchemaNode): string =>
  value === undefined ? '' : code(JSON.stringify(value));
