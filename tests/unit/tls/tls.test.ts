import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSecureServer } from '../../../device/kernel/secure-server.ts';
import { hostNames, Tls } from '../../../device/tls/index.ts';
import { makeAuthority, makeServer } from '../../../device/tls/issue.ts';
import { ManualClock } from '../record/manual-clock.ts';

const DAY_MS = 86_400_000;
const log = pino({ level: 'silent' });
/** The TLS of these tests' clients asks the real calendar. */
const NOW = Date.now();

let folder: string;
let certsDir: string;
let clock: ManualClock;
let names: string[];
const open = () => Tls.open({ stateDir: join(folder, 'state'), certsDir, names: () => names, clock, log });
const certificateOf = ({ cert }: { cert: string }) => new X509Certificate(cert);

/** The clock of the caretaker goes on until `isTrue`; work on files between its turns is real. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) {
    clock.advance(30_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function put(name: string, issuer = 'Owner'): Promise<string> {
  const identity = await makeServer(await makeAuthority(issuer, NOW), ['owner.example'], NOW);
  await mkdir(certsDir, { recursive: true });
  await writeFile(join(certsDir, `${name}.key`), identity.key, { mode: 0o600 });
  await writeFile(join(certsDir, `${name}.crt`), identity.cert);
  return identity.cert;
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-tls-'));
  certsDir = join(folder, 'certs');
  clock = new ManualClock(NOW);
  names = ['attic', 'attic.local', 'localhost', '127.0.0.1', '::1', '192.168.1.20'];
});
afterEach(() => rm(folder, { recursive: true }));

test('the first start makes an authority and a certificate for all names; keys are for nobody else', async () => {
  await using tls = await open();
  const server = certificateOf(tls.of('control-api').current);
  const authority = new X509Certificate(tls.authority);
  expect(server.verify(authority.publicKey)).toBe(true);
  expect(authority.ca).toBe(true);
  expect(server.ca).toBe(false);
  for (const name of ['attic', 'attic.local', 'localhost']) expect(server.checkHost(name)).toBe(name);
  for (const address of ['127.0.0.1', '::1', '192.168.1.20']) expect(server.checkIP(address)).toBe(address);
  expect(server.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
  const lifeDays = (+server.validToDate - +server.validFromDate) / DAY_MS;
  expect(lifeDays).toBeLessThanOrEqual(397);
  expect((+authority.validToDate - NOW) / DAY_MS).toBeGreaterThan(3649);
  const directory = join(folder, 'state', 'tls');
  const modes = await Promise.all(
    (await readdir(directory)).map(async (file) => [file, (await stat(join(directory, file))).mode & 0o777]),
  );
  expect(Object.fromEntries(modes)).toEqual({
    'authority.crt': 0o644,
    'authority.pem': 0o600,
    'server.pem': 0o600,
  });
});

test('a restart changes nothing', async () => {
  let before;
  {
    await using tls = await open();
    before = [tls.of('websocket').current, tls.authority];
  }
  await using tls = await open();
  expect([tls.of('websocket').current, tls.authority]).toEqual(before);
});

test('a certificate is renewed 30 days before its end, by the same authority, while the device runs', async () => {
  await using tls = await open();
  const source = tls.of('mqtt');
  const { authority } = tls;
  const first = source.current;
  clock.advance(365 * DAY_MS);
  await until(() => clock.sleepers > 0);
  expect(source.current).toEqual(first);
  clock.advance(2 * DAY_MS);
  await until(() => source.current.cert !== first.cert);
  expect(+certificateOf(source.current).validToDate).toBeGreaterThan(clock.utcMs() + 390 * DAY_MS);
  expect(tls.authority).toBe(authority);
});

test('a new address of the device gets a certificate that has it', async () => {
  await using tls = await open();
  const source = tls.of('control-api');
  names.push('10.0.0.7');
  await until(() => certificateOf(source.current).checkIP('10.0.0.7') !== undefined);
});

test.each([
  ['made by a clock that was years ahead', 3000],
  ['made by a clock that began in 1970', -15_000],
])('a certificate %s is made anew once the time is known', async (_, days) => {
  const rightClock = clock;
  clock = new ManualClock(Math.max(2 * DAY_MS, NOW + days * DAY_MS));
  await (await open())[Symbol.asyncDispose]();
  clock = rightClock;
  await using tls = await open();
  for (const pem of [tls.of('control-api').current.cert, tls.authority]) {
    const { validFromDate, validToDate } = new X509Certificate(pem);
    expect(+validFromDate).toBeLessThan(NOW);
    expect(+validToDate).toBeGreaterThan(NOW);
  }
});

test('damaged files are made anew; a state directory that cannot be written does not keep the servers away', async () => {
  await (await open())[Symbol.asyncDispose]();
  await writeFile(join(folder, 'state', 'tls', 'server.pem'), 'half of a');
  await using tls = await open();
  expect(certificateOf(tls.of('control-api').current).checkHost('attic')).toBe('attic');
  await writeFile(join(folder, 'blocked'), '');
  await using elsewhere = await Tls.open({
    stateDir: join(folder, 'blocked'),
    certsDir,
    names: () => names,
    clock,
    log,
  });
  expect(certificateOf(elsewhere.of('control-api').current).checkHost('attic')).toBe('attic');
});

test('files of the owner replace it while the server runs, for their server alone; without them the own is back', async () => {
  await using tls = await open();
  const own = tls.of('websocket').current;
  await using server = await listen(tls);
  expect(await server.shown()).toBe(first(own.cert));
  const cert = await put('control-api');
  await until(() => tls.of('control-api').current.cert === cert);
  expect(await server.shown()).toBe(first(cert));
  expect(tls.of('websocket').current).toEqual(own);
  await rm(join(certsDir, 'control-api.crt'));
  await rm(join(certsDir, 'control-api.key'));
  await until(() => tls.of('control-api').current.cert !== cert);
  expect(await server.shown()).toBe(first(own.cert));
});

test('a broken pair is refused with the reason, and the old one stays until there is a good one', async () => {
  const cert = await put('control-api');
  await using tls = await open();
  const source = tls.of('control-api');
  expect(source.current.cert).toBe(cert);
  await put('websocket', 'Somebody');
  await copyFile(join(certsDir, 'websocket.crt'), join(certsDir, 'control-api.crt'));
  await until(() => source.trouble !== null);
  expect(source.trouble).toMatchObject({ code: 'CERTIFICATE_INVALID' });
  expect(source.trouble?.message).toContain('do not belong together');
  expect(source.current.cert).toBe(cert);
  await writeFile(join(certsDir, 'control-api.key'), 'not a key');
  await until(() => !source.trouble?.message.includes('belong together'));
  expect(source.current.cert).toBe(cert);
  await copyFile(join(certsDir, 'websocket.key'), join(certsDir, 'control-api.key'));
  await until(() => source.trouble === null);
  expect(source.current.cert).not.toBe(cert);
});

test('an expired certificate of the owner is refused', async () => {
  await put('control-api');
  clock.advance(400 * DAY_MS);
  await using tls = await open();
  expect(tls.of('control-api').trouble?.message).toContain('was valid until');
  expect(certificateOf(tls.of('control-api').current).checkHost('attic')).toBe('attic');
});

test('no message holds a key', async () => {
  const lines: string[] = [];
  await put('control-api');
  await chmod(join(certsDir, 'control-api.key'), 0o600);
  const key = await readFile(join(certsDir, 'control-api.key'), 'utf8');
  await writeFile(join(certsDir, 'control-api.key'), key.slice(0, -60));
  const noisy = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
  await using _ = await Tls.open({
    stateDir: join(folder, 'state'),
    certsDir,
    names: () => names,
    clock,
    log: noisy,
  });
  expect(lines.join('')).toContain('refused');
  expect(lines.join('')).not.toContain(key.slice(40, 80));
});

test('this machine has names, each once', () => {
  expect(hostNames()).toEqual(expect.arrayContaining(['spyoncino.local', 'localhost', '127.0.0.1', '::1']));
  expect(new Set(hostNames()).size).toBe(hostNames().length);
});

const first = (pem: string): string => new X509Certificate(pem).fingerprint256;

async function listen(tls: Tls) {
  const server = createSecureServer(
    tls.of('control-api'),
    { connections: 8, requestMs: 5000 },
    (_, response) => response.end(),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    /** Fingerprint of what a new client is shown. */
    async shown(): Promise<string> {
      const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      return certificate?.fingerprint256 ?? '';
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
