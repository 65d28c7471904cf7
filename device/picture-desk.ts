import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bus } from './bus/index.ts';
import type { StillFact } from './contract/facts.ts';
import type { Log } from './kernel/log.ts';
import { TaskSet } from './kernel/tasks.ts';
import type { Library } from './library/index.ts';

export interface PictureDeskOptions {
  readonly bus: Pick<Bus, 'showPicture'>;
  readonly dataDir: string;
  readonly library: Library;
  readonly log: Log;
}

/** The newest events of a camera that a still is looked for among. */
const RECENT_EVENTS = 20;

/**
 * Shows the last still of each camera to Home Assistant, whose camera entities take nothing but pictures by MQTT.
 * Only there while it is told of cameras. Of each camera the newest still waits, and no other.
 */
export class PictureDesk {
  readonly #o: PictureDeskOptions;
  readonly #tasks: TaskSet;
  /** By camera: paths. */
  readonly #waiting = new Map<string, string>();
  #isShowing = false;

  constructor(options: PictureDeskOptions) {
    this.#o = options;
    this.#tasks = new TaskSet((name, error) => options.log.warn({ err: error, task: name }, 'no picture'));
  }

  /** What it last saw of these, until there is something new. */
  begin(cameraIds: readonly string[]): void {
    for (const cameraId of cameraIds) {
      this.#tasks.run(cameraId, async () => {
        const { items } = await this.#o.library.ask('listEvents', { cameraId, limit: RECENT_EVENTS });
        const last = items.find(({ stillPath }) => stillPath !== null);
        if (last?.stillPath && !this.#waiting.has(cameraId)) this.#show(cameraId, last.stillPath);
      });
    }
  }

  take({ cameraId, path }: StillFact): void {
    this.#show(cameraId, path);
  }

  async stop(): Promise<void> {
    this.#waiting.clear();
    await this.#tasks.settle();
  }

  #show(cameraId: string, path: string): void {
    this.#waiting.set(cameraId, path);
    if (this.#isShowing) return;
    this.#isShowing = true;
    this.#tasks.run('pictures', () => this.#showAll());
  }

  async #showAll(): Promise<void> {
    const { bus, dataDir, log } = this.#o;
    for (const [cameraId, path] of this.#waiting) {
      this.#waiting.delete(cameraId);
      try {
        bus.showPicture(cameraId, await readFile(join(dataDir, path)));
      } catch (error) {
        log.debug({ err: error, path }, 'a still is gone before it was shown');
      }
    }
    this.#isShowing = false;
  }
}
