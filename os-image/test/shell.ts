/** A root shell in the guest, on its second serial line: typed to, and read, as by a person at a terminal. */
import { connect, type Socket } from 'node:net';

export interface Said {
  readonly code: number;
  readonly text: string;
}

/** Without an answer it is asked again: a shell that is not there yet reads nothing. */
const ASK_AGAIN_MS = 3000;

export class Shell implements Disposable {
  readonly #socket: Socket;
  #text = '';
  #number = 0;
  #heard = Promise.withResolvers<void>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text.replaceAll('\r', '');
      this.#heard.resolve();
    });
    socket.on('close', () => this.#heard.resolve());
  }

  static async connect(port: number): Promise<Shell> {
    const socket = connect({ host: '127.0.0.1', port });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Shell(socket);
  }

  /** Waits for a shell, after each start of the guest. */
  async ready(signal: AbortSignal): Promise<void> {
    for (;;) {
      const once = AbortSignal.any([signal, AbortSignal.timeout(ASK_AGAIN_MS)]);
      const isThere = await this.run('stty -echo; PS1= PS2=; export TERM=dumb', once).then(
        () => true,
        () => false,
      );
      if (isThere) return;
      signal.throwIfAborted();
    }
  }

  /** What a command says, standard error included, and its exit code. */
  async run(command: string, signal: AbortSignal): Promise<Said> {
    const mark = `@@${++this.#number}:`;
    this.#text = '';
    // Typed in two parts, so that the echo of what is typed is not taken for the answer.
    this.#socket.write(`{ ${command}\n} 2>&1; echo "@@""${this.#number}:$?"\n`);
    for (;;) {
      const found = new RegExp(`^([^]*?)${mark}(\\d+)\n`).exec(this.#text);
      if (found) return { text: (found[1] ?? '').trim(), code: Number(found[2]) };
      signal.throwIfAborted();
      if (this.#socket.closed) throw new Error('the machine is gone');
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener('abort', () => resolve(), { once: true });
      this.#heard = Promise.withResolvers<void>();
      await Promise.race([this.#heard.promise, promise]);
    }
  }

  /** @throws Error with what it said, when it fails */
  async must(command: string, signal: AbortSignal): Promise<string> {
    const { code, text } = await this.run(command, signal);
    if (code !== 0) throw new Error(`in the guest, ${command} failed (${code}): ${text.slice(-2000)}`);
    return text;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
