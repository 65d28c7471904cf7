import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * A small JSON object that only saves work. When it is lost or damaged it starts empty again, so it is
 * replaced in one piece but not made durable; where it cannot be written, a full disk for one, the work is
 * done again next time. One process writes it.
 */
export class StateFile<Value> {
  readonly #path: string;
  #values: Record<string, Value>;

  private constructor(path: string, values: Record<string, Value>) {
    this.#path = path;
    this.#values = values;
  }

  static async open<Value>(
    path: string,
    isValue: (value: unknown) => value is Value,
  ): Promise<StateFile<Value>> {
    const text = await readFile(path, 'utf8').catch(() => '{}');
    return new StateFile(path, parseValues(text, isValue));
  }

  get(key: string): Value | undefined {
    return Object.hasOwn(this.#values, key) ? this.#values[key] : undefined;
  }

  async set(key: string, value: Value): Promise<void> {
    this.#values[key] = value;
    const unfinished = `${this.#path}.${process.pid}`;
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      await writeFile(unfinished, JSON.stringify(this.#values, null, 2));
      await rename(unfinished, this.#path);
    } catch {
      await rm(unfinished, { force: true });
    }
  }
}

function parseValues<Value>(
  text: string,
  isValue: (value: unknown) => value is Value,
): Record<string, Value> {
  try {
    const entries = Object.entries(JSON.parse(text) as object);
    return Object.fromEntries(entries.filter((entry): entry is [string, Value] => isValue(entry[1])));
  } catch {
    return {};
  }
}
