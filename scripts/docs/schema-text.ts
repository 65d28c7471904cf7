import { ERRORS } from '../../device/contract/errors.ts';
import type { SchemaNode } from '../../device/settings/index.ts';

const ERROR_CODES = Object.keys(ERRORS).join();

/** What a JSON schema allows, in few words: `whole number, 0 to 65535`. */
export function typeText(node: SchemaNode): string {
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum?.join() === ERROR_CODES) return 'a code of [errors.md](errors.md)';
  if (node.enum) return node.enum.map((value) => JSON.stringify(value)).join(', ');
  if (node.anyOf) return node.anyOf.map(typeText).join(' or ');
  if (Array.isArray(node.type))
    return node.type.map((type: string) => typeText({ ...node, type })).join(' or ');
  if (node.prefixItems) return `[${node.prefixItems.map(typeText).join(', ')}]`;
  switch (node.type) {
    case 'array':
      return `list of ${node.items ? typeText(node.items) : 'anything'}${sizeText(node)}`;
    case 'object':
      return 'group of keys';
    case 'integer':
      return `whole number${rangeText(node)}`;
    case 'number':
      return `${node.multipleOf === 1 ? 'whole number' : 'number'}${rangeText(node)}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      return 'text';
    default:
      return String(node.type ?? 'anything');
  }
}

/** Bounds that say no more than "it fits a double" are left out. */
function rangeText({ minimum, maximum }: SchemaNode): string {
  const from = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? minimum : null;
  const to = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? maximum : null;
  if (from !== null && to !== null) return `, ${from} to ${to}`;
  if (from !== null) return `, ${from} or more`;
  return to === null ? '' : `, ${to} or less`;
}

function sizeText({ minItems, maxItems }: SchemaNode): string {
  if (minItems !== undefined && maxItems !== undefined) return ` (${minItems} to ${maxItems})`;
  if (minItems !== undefined) return ` (${minItems} or more)`;
  return maxItems === undefined ? '' : ` (${maxItems} at most)`;
}
