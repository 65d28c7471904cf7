import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../../device/kernel/clock.ts';
import { systemClock } from '../../../device/kernel/clock.ts';
import { PartialBundle } from '../../../device/update/partial-bundle.ts';
import { serveRanges } from '../../../device/update/range-server.ts';
import { serveBundle, type BundleServer } from '../../harness/bundle-server.ts';

const CHUNK = 1000;
const log = pino({ level: 'silent' });
/** Waiting costs no time. */
const clock: Clock = { ...systemClock, sleep: async () => {} };

let folder: string;
let server: BundleServer;
let stopping: AbortController;

const open = (url = server.url) =>
  PartialBundle.open({ folder, url, clock, log, signal: stopping.signal, chunkBytes: CHUNK, tries: 3 });
const code = (wanted: string) => expect.objectContaining({ code: wanted });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-part-'));
  server = await serveBundle(randomBytes(20 * CHUNK + 123));
  stopping = new AbortController();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test('any part can be had alone; the rest of the file stays a hole', async () => {
  const part = await open();
  await part.fetch(4500, 5500);
  expect(await part.read(4500, 5500)).toEqual(server.content.subarray(4500, 5500));
  expect(part.receivedBytes).toBe(2 * CHUNK);
  expect((await stat(part.path)).size).toBe(server.content.length);
  expect(part.isWhole).toBe(false);
  const before = server.sentBytes;
  await part.fetch(4000, 6000);
  expect(server.sentBytes).toBe(before);
});

test('a connection that breaks again and again costs no byte that arrived in whole chunks', async () => {
  server.cut = { afterBytes: 3 * CHUNK + 500, times: 5 };
  const part = await open();
  await part.fetchAll(() => {});
  expect(part.isWhole).toBe(true);
  expect(await readFile(part.path)).toEqual(server.content);
  // Of each broken answer half a chunk was for nothing; one byte asked how large it is.
  expect(server.sentBytes).toBe(server.content.length + 5 * 500 + 1);
});

test('another process goes on where this one ended', async () => {
  {
    const part = await open();
    await part.fetch(0, 10 * CHUNK);
  }
  const before = server.sentBytes;
  const part = await open();
  expect(part.receivedBytes).toBe(10 * CHUNK);
  await part.fetchAll(() => {});
  expect(await readFile(part.path)).toEqual(server.content);
  expect(server.sentBytes - before).toBe(server.content.length - 10 * CHUNK + 1);
  expect(server.requests.at(-1)).toMatchObject({ 'if-range': '"first"' });
});

test('another bundle of the same size in between is not mixed with the first', async () => {
  const part = await open();
  await part.fetch(0, 10 * CHUNK);
  server.content = randomBytes(server.content.length);
  server.tag = 'second';
  await expect(part.fetchAll(() => {})).rejects.toEqual(code('UPDATE_CHANGED'));

  const again = await open();
  expect(again.receivedBytes).toBe(0);
  await again.fetchAll(() => {});
  expect(await readFile(again.path)).toEqual(server.content);
});

test('a server that sends all or nothing is asked for all', async () => {
  server.hasRanges = false;
  server.cut = { afterBytes: 5 * CHUNK, times: 1 };
  const part = await open();
  await part.fetchEnds();
  expect(part.isWhole).toBe(true);
  expect(await readFile(part.path)).toEqual(server.content);
});

test('it gives up when nothing arrives any more, and says why', async () => {
  const part = await open();
  server.cut = { afterBytes: 10, times: Infinity };
  await expect(part.fetchAll(() => {})).rejects.toEqual(code('UPDATE_UNREACHABLE'));
  server.status = 404;
  await expect(open()).rejects.toEqual(code('UPDATE_NOT_FOUND'));
  server.status = 503;
  await expect(open()).rejects.toEqual(code('UPDATE_UNREACHABLE'));
  const { url: nobody } = await serveBundle(Buffer.alloc(1)).then(async (gone) => {
    await gone[Symbol.asyncDispose]();
    return gone;
  });
  await expect(open(nobody)).rejects.toEqual(code('UPDATE_UNREACHABLE'));
});

test('who streams it gets every range that it asks for, and only that is fetched', async () => {
  const part = await open();
  await using local = await serveRanges(part, log);
  const ask = (range?: string, method = 'GET') =>
    fetch(local.url, { method, headers: range === undefined ? {} : { range } });
  server.cut = { afterBytes: 500, times: 2 };
  const response = await ask('bytes=7300-7399');
  expect(response.status).toBe(206);
  expect(response.headers.get('content-range')).toBe(`bytes 7300-7399/${server.content.length}`);
  expect(Buffer.from(await response.arrayBuffer())).toEqual(server.content.subarray(7300, 7400));
  expect(part.receivedBytes).toBe(CHUNK);
  expect((await ask(undefined, 'HEAD')).headers.get('content-length')).toBe(String(server.content.length));
  expect((await ask('bytes=999999-')).status).toBe(416);
  expect((await fetch(new URL('/other.raucb', local.url))).status).toBe(404);
  expect(Buffer.from(await (await ask()).arrayBuffer())).toEqual(server.content);
});
