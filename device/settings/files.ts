import { readFile, stat } from 'node:fs/promises';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { CodedError } from '../contract/errors.ts';
import type { Path } from './tree.ts';

export interface YamlFile {
  readonly path: string;
  /** Plain data; an empty file is an empty map. */
  readonly value: unknown;
  /** Line on which `path` stands, or the nearest thing around it; null when even the first key is not there. */
  lineOf(path: Path): number | null;
}

/** null when there is no such file. Throws CONFIG_UNREADABLE. */
export async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw CodedError.from(error, 'CONFIG_UNREADABLE');
  }
}

/** null when there is no such file. Throws CONFIG_UNREADABLE with line and column. */
export async function readYaml(path: string): Promise<YamlFile | null> {
  const text = await readText(path);
  return text === null ? null : parseYaml(path, text);
}

/** `path` is for messages. Throws CONFIG_UNREADABLE with line and column. */
export function parseYaml(path: string, text: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new CodedError('CONFIG_UNREADABLE', `${path}:${line}:${col}: ${error.message}`);
  }
  let value: unknown;
  try {
    value = document.toJS() ?? {};
  } catch (cause) {
    throw new CodedError('CONFIG_UNREADABLE', `${path}: ${(cause as Error).message}`, { cause });
  }
  return {
    path,
    value,
    lineOf: (wanted) => {
      const offset = offsetOf(document.contents, wanted);
      return offset === null ? null : lines.linePos(offset).line;
    },
  };

  function offsetOf(root: unknown, wanted: Path): number | null {
    let node = root;
    let offset: number | null = null;
    for (const key of wanted) {
      if (isAlias(node)) node = node.resolve(document);
      if (isMap(node)) {
        const pair = node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(key));
        if (!pair || !isScalar(pair.key)) break;
        offset = pair.key.range?.[0] ?? offset;
        node = pair.value;
      } else if (isSeq(node) && typeof key === 'number') {
        node = node.items[key];
        offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset;
      } else break;
    }
    return offset;
  }
}

/** Like `readYaml`, for a file that nobody else may read. Throws CONFIG_SECRETS_EXPOSED. */
export async function readSecretYaml(path: string): Promise<YamlFile | null> {
  const file = await readYaml(path);
  if (file === null) return null;
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    throw new CodedError('CONFIG_SECRETS_EXPOSED', `${path} has mode ${(mode & 0o777).toString(8)}`);
  }
  return file;
}
