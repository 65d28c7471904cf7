import { open, type FileHandle } from 'node:fs/promises';

/** What a disk was asked, in the order in which it answered. Data of writes lies in the log's file. */
export type DiskOp =
  | {
      readonly kind: 'write';
      readonly offset: number;
      readonly length: number;
      /** Where the data stands in the log's file. */
      readonly at: number;
      /** FUA: durable when it was answered, as nothing before it need be. */
      readonly isDurable: boolean;
    }
  /** Trimmed, or written with zeroes: read as zeroes afterwards. */
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number; readonly isDurable: boolean }
  /** All that was answered before is durable. */
  | { readonly kind: 'flush' }
  /** The test says where it is: `install`, `mark-good`, … */
  | { readonly kind: 'mark'; readonly label: string };

/** What changed a disk, from a known beginning on. Grows with every write: as long as a test needs it. */
export class DiskLog implements AsyncDisposable {
  readonly #ops: DiskOp[] = [];
  readonly #file: FileHandle;
  #end = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async create(path: string): Promise<DiskLog> {
    return new DiskLog(await open(path, 'w+'));
  }

  /** That of an earlier recording; what it was asked is told by whoever kept it. */
  static async reopen(path: string, ops: readonly DiskOp[]): Promise<DiskLog> {
    const log = new DiskLog(await open(path, 'r'));
    log.#ops.push(...ops);
    return log;
  }

  get ops(): readonly DiskOp[] {
    return this.#ops;
  }

  async write(offset: number, data: Uint8Array, isDurable: boolean): Promise<void> {
    const at = this.#end;
    this.#end += data.length;
    await this.#file.write(data, 0, data.length, at);
    this.#ops.push({ kind: 'write', offset, length: data.length, at, isDurable });
  }

  zero(offset: number, length: number, isDurable: boolean): void {
    this.#ops.push({ kind: 'zero', offset, length, isDurable });
  }

  flush(): void {
    this.#ops.push({ kind: 'flush' });
  }

  mark(label: string): void {
    this.#ops.push({ kind: 'mark', label });
  }

  async dataOf({ at, length }: Extract<DiskOp, { kind: 'write' }>): Promise<Buffer> {
    const { buffer } = await this.#file.read(Buffer.alloc(length), 0, length, at);
    return buffer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
