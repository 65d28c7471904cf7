import { FileGone, type Disk, type DiskFile } from '../../../device/record/index.ts';

export type DiskOperation = 'makeDirectory' | 'create' | 'rename' | 'write' | 'sync' | 'reopen' | 'close';

interface Stored {
  bytes: Buffer;
  /** What of `bytes` survives a power cut. */
  durable: Buffer;
}

/** A disk in memory that knows what a power cut would leave of it, and fails or waits when told to. */
export class MemoryDisk implements Disk {
  readonly files = new Map<string, Stored>();
  /** Called before each operation; may throw, or hold it up. */
  fault: (operation: DiskOperation) => Promise<void> | void = () => {};
  /** A write that fails leaves this many of its bytes behind. */
  tornBytes = 0;
  syncs = 0;

  read(path: string): Buffer {
    const file = this.files.get(path);
    if (!file) throw new Error(`no file ${path}`);
    return file.bytes;
  }

  async makeDirectory(): Promise<void> {
    await this.fault('makeDirectory');
  }

  async create(path: string): Promise<DiskFile> {
    await this.fault('create');
    if (this.files.has(path)) throw Object.assign(new Error('file exists'), { code: 'EEXIST' });
    const file: Stored = { bytes: Buffer.alloc(0), durable: Buffer.alloc(0) };
    this.files.set(path, file);
    return this.#open(file);
  }

  async reopen(path: string, sizeBytes: number): Promise<DiskFile> {
    await this.fault('reopen');
    const file = this.files.get(path);
    if (!file || file.durable.byteLength < sizeBytes) throw new FileGone(path);
    file.bytes = file.bytes.subarray(0, sizeBytes);
    file.durable = Buffer.from(file.bytes);
    return this.#open(file);
  }

  #open(file: Stored): DiskFile {
    return {
      write: async (chunks, positionBytes) => {
        const data = Buffer.concat(chunks);
        try {
          await this.fault('write');
        } catch (error) {
          file.bytes = overwrite(file.bytes, data.subarray(0, this.tornBytes), positionBytes);
          throw error;
        }
        file.bytes = overwrite(file.bytes, data, positionBytes);
      },
      sync: async () => {
        await this.fault('sync');
        this.syncs++;
        file.durable = Buffer.from(file.bytes);
      },
      close: async () => {
        await this.fault('close');
      },
    };
  }

  async rename(from: string, to: string): Promise<void> {
    await this.fault('rename');
    const file = this.files.get(from);
    if (!file) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    this.files.delete(from);
    this.files.set(to, file);
  }
}

function overwrite(bytes: Buffer, data: Buffer, positionBytes: number): Buffer {
  if (positionBytes > bytes.byteLength) throw new Error('a hole in the file');
  const behind = bytes.subarray(positionBytes + data.byteLength);
  return Buffer.concat([bytes.subarray(0, positionBytes), data, behind]);
}
