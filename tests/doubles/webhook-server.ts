/** A webhook receiver as integrators write it: checks the signature, and takes every key once. */
import { once } from 'node:events';
import { createServer as createPlain, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTls, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { signatureOf } from '../../device/notify/index.ts';

export const SECRET = 'a secret of this webhook';

export interface WebhookCall {
  readonly key: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Readonly<Record<string, unknown>> & {
    readonly notice_id: string;
    readonly revision: number;
    readonly event_kind: string;
    readonly subject: string;
  };
  readonly isSigned: boolean;
  readonly atMs: number;
}

export class WebhookServer implements AsyncDisposable {
  readonly calls: WebhookCall[] = [];
  /** Answers in place of 200, or ends the connection after the request has arrived. */
  fault: ((response: ServerResponse, request: IncomingMessage) => void) | null = null;
  readonly #server;
  #news = Promise.withResolvers<void>();

  private constructor(tls: ServerOptions | null) {
    const listener = (request: IncomingMessage, response: ServerResponse): void =>
      void this.#take(request, response);
    this.#server = tls ? createTls(tls, listener) : createPlain(listener);
  }

  static async start({ tls = null, port = 0 }: { tls?: ServerOptions | null; port?: number } = {}) {
    const server = new WebhookServer(tls);
    server.#server.listen(port, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** By key, each once: what an integrator keeps. */
  get kept(): WebhookCall[] {
    return [...new Map(this.calls.map((call) => [call.key, call])).values()];
  }

  async has(fits: () => boolean): Promise<void> {
    while (!fits()) await this.#news.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return; // the sender went away
    }
    const body = Buffer.concat(chunks);
    const { headers } = request;
    const timestamp = String(headers['x-spyoncino-timestamp']);
    if (this.fault) this.fault(response, request);
    else response.writeHead(200).end('ok');
    this.calls.push({
      key: String(headers['idempotency-key']),
      headers,
      body: JSON.parse(body.toString()) as WebhookCall['body'],
      isSigned: headers['x-spyoncino-signature'] === signatureOf(SECRET, timestamp, body),
      atMs: Date.now(),
    });
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
