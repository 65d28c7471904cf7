/** A box that runs: an emulated machine with a card in it, a root shell, the command line, and the API. */
import { request } from 'node:https';
import { freePort } from '../../tests/harness/free-port.ts';
import type { Card } from './card.ts';
import { Machine, type Board } from './machine.ts';
import { Shell } from './shell.ts';
import { cache, inside } from './toolbox.ts';

/** Emulated and on a busy machine: many times what it takes on a quiet one. */
const STEP_TIMEOUT_MS = 15 * 60_000;

export const patience = (): AbortSignal => AbortSignal.timeout(STEP_TIMEOUT_MS);

/** This machine, as the guest sees it. */
export const HOST = '10.0.2.2';

/** Of a server of this machine, as the guest has to ask for it. */
export const inGuest = ({ url }: { readonly url: string }): string => url.replace('127.0.0.1', HOST);

export class Guest implements AsyncDisposable {
  readonly machine: Machine;
  readonly shell: Shell;
  readonly #port: number;

  private constructor(machine: Machine, shell: Shell, port: number) {
    this.machine = machine;
    this.shell = shell;
    this.#port = port;
  }

  /** Resolves when the boot script has chosen a slot. The log of its console: `vm/<name>.log` below the cache. */
  static async start(name: string, disk: Card | string, board: Board = {}): Promise<Guest> {
    const [apiPort, shellPort] = [await freePort(), await freePort()];
    const machine = Machine.start([inside, cache], {
      ...board,
      disk: typeof disk === 'string' ? disk : `/cache/${disk.path}`,
      apiPort,
      shellPort,
      log: `${cache}/vm/${name}.log`,
    });
    try {
      await machine.line(/spyoncino: booting slot/, patience());
      return new Guest(machine, await Shell.connect(shellPort), apiPort);
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  /** Waits for the shell, and gives it a token for the command line; after each start. */
  async ready(): Promise<void> {
    await this.shell.ready(patience());
    await this.must(
      'export SPYONCINO_BUS_USERNAME=test; test -s /data/system/test-token ||' +
        ' runuser -u spyoncino -- spyoncino users token test --role admin >/data/system/test-token;' +
        ' export SPYONCINO_BUS_PASSWORD="$(cat /data/system/test-token)"',
    );
  }

  /** What was said so far answers no `line` any more. */
  mark = (): void => this.machine.mark();

  line = (pattern: RegExp): Promise<string> => this.machine.line(pattern, patience());

  must = (command: string): Promise<string> => this.shell.must(command, patience());

  async refuses(command: string, code: RegExp): Promise<void> {
    const said = await this.shell.run(command, patience());
    if (said.code === 0 || !code.test(said.text))
      throw new Error(`${command} should be refused by ${code.source}: ${said.code}, ${said.text}`);
  }

  /** Asks again until the answer is that; whoever asks gives it time. */
  async until(command: string, pattern: RegExp): Promise<string> {
    const signal = patience();
    for (let last = ''; ; await new Promise((again) => setTimeout(again, 2000))) {
      if (signal.aborted) throw new Error(`${command} does not come to ${pattern.source}: ${last}`);
      last = (await this.shell.run(command, signal)).text;
      if (pattern.test(last)) return last;
    }
  }

  async expect(command: string, pattern: RegExp): Promise<string> {
    const text = await this.must(command);
    if (!pattern.test(text)) throw new Error(`${command} does not say ${pattern.source}: ${text}`);
    return text;
  }

  /** Asks `/health` until it answers 200; the box's certificate is its own. */
  async healthy(): Promise<string> {
    const signal = patience();
    for (;;) {
      signal.throwIfAborted();
      const answer = await this.call('GET', '/health').catch(() => null);
      if (answer?.status === 200) return answer.text;
      await new Promise((again) => setTimeout(again, 1000));
    }
  }

  /** The API of the box, as seen from outside. */
  call(method: string, path: string, body?: object): Promise<Answer> {
    return call(this.#port, method, path, body);
  }

  async powerOff(): Promise<void> {
    await this.must('systemctl poweroff');
    await this.machine.ended(patience());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.shell[Symbol.dispose]();
    await this.machine.stop();
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

function call(port: number, method: string, path: string, body?: object): Promise<Answer> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: '127.0.0.1', port, method, path, headers, rejectUnauthorized: false, timeout: 30_000 },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
