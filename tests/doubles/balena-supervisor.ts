/** The part of balena's supervisor that services talk to, on a free port. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SupervisorDouble extends AsyncDisposable {
  readonly address: string;
  /** Answers nothing but 503 while true. */
  isDown: boolean;
  /** As of versions that know no tags. */
  isOld: boolean;
  /** `METHOD path`, in order. */
  readonly asked: string[];
  readonly tags: Record<string, string>;
  readonly device: Record<string, unknown>;
}

export async function startSupervisor(key: string): Promise<SupervisorDouble> {
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    double.asked.push(`${method} ${url}`);
    const answer = (status: number, body = ''): void => void response.writeHead(status).end(body);
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      if (double.isDown) return answer(503);
      if (headers.authorization !== `Bearer ${key}`) return answer(401);
      if (`${method} ${url}` === 'GET /v1/device') return answer(200, JSON.stringify(double.device));
      if (`${method} ${url}` === 'PATCH /v2/device/tags' && !double.isOld) {
        Object.assign(double.tags, JSON.parse(text));
        return answer(200, '{"status":"success"}');
      }
      return answer(404);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const double: SupervisorDouble = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    isDown: false,
    isOld: false,
    asked: [],
    tags: {},
    device: {
      status: 'Idle',
      update_pending: false,
      update_downloaded: false,
      update_failed: false,
      download_progress: null,
      commit: 'c0ffee',
      os_version: 'balenaOS 6.1.0',
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return double;
}
