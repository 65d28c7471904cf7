import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Log } from '../kernel/log.ts';
import type { PartialBundle } from './partial-bundle.ts';

export interface RangeServer extends AsyncDisposable {
  readonly url: string;
}

/** Read and sent at once. */
const PIECE_BYTES = 256 * 1024;

/**
 * Serves a bundle on loopback while it arrives: RAUC streams from here and reads only blocks that it does not have in
 * the slot that runs; each is fetched when it is asked for, with all the patience of `PartialBundle`, so that a bad
 * connection makes an installation slow instead of failing it.
 */
export async function serveRanges(bundle: PartialBundle, log: Log): Promise<RangeServer> {
  // Other programs on this machine have no business here.
  const path = `/${randomBytes(16).toString('hex')}.raucb`;
  const server = createServer((request, response) => {
    answer(bundle, path, request, response).catch((error: unknown) => {
      log.warn({ err: error }, 'a part of the update cannot be had');
      response.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function answer(
  bundle: PartialBundle,
  path: string,
  { method, url, headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (url !== path || (method !== 'GET' && method !== 'HEAD')) {
    response.writeHead(404).end();
    return;
  }
  const range = rangeOf(headers.range, bundle.sizeBytes);
  if (!range) {
    response.writeHead(416, { 'content-range': `bytes */${bundle.sizeBytes}` }).end();
    return;
  }
  response.writeHead(headers.range === undefined ? 200 : 206, {
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    'content-length': range.to - range.from,
    ...(headers.range === undefined
      ? {}
      : { 'content-range': `bytes ${range.from}-${range.to - 1}/${bundle.sizeBytes}` }),
  });
  if (method === 'HEAD') response.end();
  else await pipeline(piecesOf(bundle, range), response);
}

async function* piecesOf(bundle: PartialBundle, range: { from: number; to: number }): AsyncGenerator<Buffer> {
  for (let at = range.from; at < range.to; at += PIECE_BYTES) {
    const to = Math.min(range.to, at + PIECE_BYTES);
    await bundle.fetch(at, to);
    yield await bundle.read(at, to);
  }
}

/** One range of RFC 9110, 14.1.2; `to` is exclusive; null when it cannot be satisfied. */
export function rangeOf(header: string | undefined, sizeBytes: number): { from: number; to: number } | null {
  if (header === undefined) return { from: 0, to: sizeBytes };
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === '' && last === '') return null;
  const from = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const to = first === '' || last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  return from < to ? { from, to } : null;
}
