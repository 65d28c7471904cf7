/** Settings as they come from files and environment: plain maps, lists and scalars, addressed by path. */
import { z } from 'zod';
import { config, secrets } from './schema.ts';

export type Path = readonly (string | number)[];

export type Tree = Record<string, unknown>;

export const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is at `path`; undefined when there is nothing. Inherited properties are nothing. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

/** Puts `value` at `path`, making maps on the way; where something else is in the way it stays. */
export function setAt(
  root: Tree,
  path: readonly [string | number, ...(string | number)[]],
  value: unknown,
): void {
  const parents = path.slice(0, -1);
  let at = root as Record<string | number, unknown>;
  for (const key of parents) {
    if (!Object.hasOwn(at, key) || at[key] === null) at[key] = {};
    const next = at[key];
    if (typeof next !== 'object') return;
    at = next as Record<string | number, unknown>;
  }
  at[path.at(-1)!] = value;
}

/** Takes what is at `path` away, or, where nothing is, what it is missing from. false: that would be the whole tree. */
export function takeOut(root: Tree, path: Path): boolean {
  const there = valueAt(root, path) === undefined ? path.slice(0, -1) : path;
  const parent = valueAt(root, there.slice(0, -1));
  const key = there.at(-1);
  if (key === undefined) return false;
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete (parent as Tree)[key];
  return true;
}

/** A node of the JSON schema of config.yaml. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly anyOf?: readonly SchemaNode[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SchemaNode | boolean;
  readonly items?: SchemaNode;
  readonly prefixItems?: readonly SchemaNode[];
}

/** JSON schema (2020-12) of config.yaml as people write it. */
export const configJsonSchema = (): SchemaNode => z.toJSONSchema(config, { io: 'input' }) as SchemaNode;

export const secretsJsonSchema = (): SchemaNode => z.toJSONSchema(secrets, { io: 'input' }) as SchemaNode;

/** The types that `node` allows, but for null, which only says "as if the key were not there". */
export function typesOf({ type = [], anyOf = [] }: SchemaNode): readonly string[] {
  return [type, ...anyOf.map(typesOf)].flat().filter((name) => name !== 'null');
}

/** The group behind "group or null". */
export const groupIn = (node: SchemaNode): SchemaNode =>
  node.anyOf?.find(({ properties }) => properties !== undefined) ?? node;

/** The schema of what may stand under `key`; null when nothing may. */
export function childOf(parent: SchemaNode, key: string | number): SchemaNode | null {
  const node = groupIn(parent);
  if (typeof key === 'number') return node.items ?? node.prefixItems?.[key] ?? null;
  if (node.properties && Object.hasOwn(node.properties, key)) return node.properties[key]!;
  return typeof node.additionalProperties === 'object' ? node.additionalProperties : null;
}

export const schemaAt = (root: SchemaNode, path: Path): SchemaNode | null =>
  path.reduce<SchemaNode | null>((node, key) => node && childOf(node, key), root);

export const keysOf = (node: SchemaNode | null): readonly string[] =>
  Object.keys((node && groupIn(node).properties) ?? {});

/** `['cameras', 0, 'fps']` → `cameras.porch.fps`, or `cameras[0].fps` while the camera has no proper id. */
export function pathName(path: Path, root: unknown): string {
  const id = path[0] === 'cameras' ? valueAt(root, [...path.slice(0, 2), 'camera_id']) : undefined;
  return path
    .map((key, at) => {
      if (at === 1 && typeof id === 'string' && /^[\w-]+$/.test(id)) return `.${id}`;
      return typeof key === 'number' ? `[${key}]` : `.${key}`;
    })
    .join('')
    .replace(/^\./, '');
}
