import type { z } from 'zod';
import { nearest } from './nearest.ts';
import { keysOf, valueAt, type Path, type SchemaNode, schemaAt } from './tree.ts';

/** Something wrong with one key: what is there, and what would be right. */
export interface Problem {
  readonly path: Path;
  readonly text: string;
}

type RawIssue = Parameters<z.core.$ZodErrorMap>[0];

const KINDS: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'a group of keys',
  record: 'a group of keys',
};

/** Says what would be right, in our words. Words that a field of the schema brings along win over these. */
export function requirement(issue: RawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case 'too_small':
      return `must ${amount(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`;
    case 'too_big':
      return `must ${amount(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`;
    case 'invalid_value': {
      const allowed = issue.values.map(String);
      return `must be one of ${allowed.join(', ')}${guess(String(issue.input), allowed)}`;
    }
    case 'invalid_key':
      return String(issue.issues[0]?.message);
    default:
      return 'does not fit';
  }
}

const amount = (origin: string, relation: string, limit: number | bigint): string => {
  if (origin === 'number' || origin === 'int') return `be ${relation} ${limit}`;
  return `have ${relation} ${limit} ${Number(limit) === 1 ? 'entry' : 'entries'}`;
};

const guess = (typed: string, known: readonly string[]): string => {
  const meant = nearest(typed, known);
  return meant === null ? '' : `; did you mean ${meant}?`;
};

/** Why a key is not known, and which would be. */
export function unknownKey(key: string, known: readonly string[]): string {
  if (key === 'password') {
    return 'does not belong here: it goes into secrets.yaml, as cameras.<id>.password or bus.bridge.password';
  }
  if (/^(access_key_id|secret_access_key|session_token)$/.test(key)) {
    return `does not belong here: it goes into secrets.yaml, as storage.remote.${key}`;
  }
  return `unknown key${guess(key, known) || `; known are ${known.join(', ')}`}`;
}

/** The issues as problems, one for each key. With `secret` no value is repeated. */
export function problemsOf(
  issues: readonly z.core.$ZodIssue[],
  input: unknown,
  schema: SchemaNode,
  secret = false,
): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const path = issue.path as Path;
    if (issue.code === 'unrecognized_keys') {
      const known = keysOf(schemaAt(schema, path));
      return issue.keys.map((key) => ({ path: [...path, key], text: unknownKey(key, known) }));
    }
    if (issue.code === 'custom') return [{ path, text: issue.message }];
    const value = valueAt(input, path);
    const shown = value === undefined ? 'is missing, ' : secret ? '' : show(value);
    return [{ path, text: `${shown}${issue.message}` }];
  });
}

const SHOWN_CHARACTERS = 60;

/** Addresses are not repeated: someone may have put a password into one. */
function show(value: unknown): string {
  const text = JSON.stringify(value);
  if (text.includes('://')) return '';
  return `is ${text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text}, `;
}
