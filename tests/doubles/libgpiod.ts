/** The tools of libgpiod without hardware: scripts that take their arguments, and files in place of lines. */
import { appendFile, chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TOOLS = ['gpioset', 'gpiomon'];
const TURN_MS = 20;

export class LibgpiodDouble {
  /** For PATH. */
  readonly path: string;
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
    this.path = `${dir}:/usr/bin:/bin`;
  }

  static async create(): Promise<LibgpiodDouble> {
    const double = new LibgpiodDouble(await mkdtemp(join(tmpdir(), 'spyoncino-libgpiod-')));
    await Promise.all([double.set('version', 'v2.2.1'), double.set('level', ''), double.set('edges', '')]);
    await double.set('fault', '');
    await double.install();
    return double;
  }

  async install(): Promise<void> {
    for (const tool of TOOLS) {
      const file = join(this.#dir, tool);
      await copyFile(fileURLToPath(new URL(`libgpiod/${tool}`, import.meta.url)), file);
      await chmod(file, 0o755);
    }
  }

  async remove(): Promise<void> {
    await Promise.all(TOOLS.map((tool) => rm(join(this.#dir, tool))));
  }

  /** `fault`: what the tools complain of; empty: nothing. `version`: what they are. */
  async set(file: 'fault' | 'version' | 'level' | 'edges', text: string): Promise<void> {
    await writeFile(join(this.#dir, file), text);
  }

  async edge(edge: 'rising' | 'falling'): Promise<void> {
    await appendFile(join(this.#dir, 'edges'), `${edge}\n`);
  }

  /** All levels of the line so far, without those that change nothing. */
  async levels(): Promise<readonly string[]> {
    const all = (await readFile(join(this.#dir, 'level'), 'utf8')).split('\n').filter(Boolean);
    return all.filter((level, at) => level !== all[at - 1]);
  }

  /** Resolves when the levels so far are these. */
  async hasBeen(...levels: readonly string[]): Promise<void> {
    while ((await this.levels()).join() !== levels.join())
      await new Promise((resolve) => setTimeout(resolve, TURN_MS));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }
}
