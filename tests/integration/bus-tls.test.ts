import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { subscribe } from '../../device/bus/index.ts';
import type { TlsIdentity, TlsSource } from '../../device/contract/tls.ts';
import { requirePackages } from '../harness/packages.ts';
import { connectClient, connectRaw, startBus } from './bus-fixture.ts';

requirePackages(['openssl', 'mosquitto-clients']);

const run = promisify(execFile);
let dir: string;
const path = (name: string): string => join(dir, name);
const pem = (name: string): Promise<string> => readFile(path(name), 'utf8');

/** A key and a certificate for `name`, signed by `issuer` or, as a CA, by itself. */
async function certify(name: string, issuer: string | null): Promise<void> {
  const signed = issuer === null ? [] : ['-CA', path(`${issuer}.crt`), '-CAkey', path(`${issuer}.key`)];
  const use = issuer === null ? 'basicConstraints=critical,CA:TRUE' : 'subjectAltName=IP:127.0.0.1';
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    path(`${name}.key`),
  ];
  const rest = ['-out', path(`${name}.crt`), '-days', '2', '-subj', `/CN=${name}`, '-addext', use];
  await run('openssl', ['req', '-x509', ...key, ...rest, ...signed]);
}

const identity = async (name: string): Promise<TlsIdentity> => ({
  key: await pem(`${name}.key`),
  cert: await pem(`${name}.crt`),
});

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bus-tls-'));
  await Promise.all([certify('house', null), certify('people', null)]);
  await Promise.all([
    certify('one', 'house'),
    certify('two', 'house'),
    certify('anna', 'people'),
    certify('eve', 'house'),
  ]);
});
afterAll(() => rm(dir, { recursive: true }));

class Certificates implements TlsSource {
  current: TlsIdentity;
  readonly trouble = null;
  readonly #listeners = new Set<(identity: TlsIdentity) => void>();
  constructor(first: TlsIdentity) {
    this.current = first;
  }
  onChange(listener: (identity: TlsIdentity) => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true });
  }
  change(to: TlsIdentity): void {
    this.current = to;
    for (const listener of this.#listeners) listener(to);
  }
}

async function startTls(clientCertificates: 'none' | 'optional' | 'required' = 'none') {
  const certificates = new Certificates(await identity('one'));
  const { fingerprint256 } = new X509Certificate(await pem('anna.crt'));
  const anna = fingerprint256.replaceAll(':', '').toLowerCase();
  const bus = await startBus({
    tls: { host: '127.0.0.1', port: 0, clientCertificates },
    certificates,
    clientCa: await pem('people.crt'),
    authenticate: async ({ username, password, certificateSha256 }) =>
      password === 'right' || certificateSha256 === anna
        ? { user: username ?? 'anna', role: 'viewer', surface: 'mqtt' }
        : null,
  });
  return Object.assign(bus, { certificates, secure: bus.tlsPort ?? 0 });
}

const trusting = async () => ({ protocol: 'mqtts' as const, ca: await pem('house.crt') });
const user = { username: 'bob', password: 'right' };
const showing = async (name: string) => ({ key: await pem(`${name}.key`), cert: await pem(`${name}.crt`) });

test('with TLS one needs a name, also on this machine', async () => {
  await using bus = await startTls();
  await using _bob = await connectClient(bus.secure, { ...(await trusting()), ...user });
  await expect(connectClient(bus.secure, await trusting())).rejects.toThrow('Not authorized');
  await expect(connectClient(bus.secure, { protocol: 'mqtts', ...user })).rejects.toThrow('certificate');
});

test('a stock client and our own get through', async () => {
  await using bus = await startTls();
  const args = ['-h', '127.0.0.1', '-p', String(bus.secure), '--cafile', path('house.crt')];
  const { stdout } = await run('mosquitto_sub', [
    ...args,
    ...['-u', 'bob', '-P', 'right', '-t', 'spyoncino/#', '-C', '1', '-W', '20'],
  ]);
  expect(JSON.parse(stdout)).toMatchObject({ state: 'online' });
  const stop = new AbortController();
  const options = { host: '127.0.0.1', port: bus.secure, globs: ['*'], signal: stop.signal };
  const tls = { ca: await pem('house.crt') };
  const onMessage = (): void => stop.abort();
  await subscribe({ ...options, tls, ...user, onMessage });
  await expect(
    subscribe({ ...options, signal: new AbortController().signal, tls, onMessage }),
  ).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
  });
});

test('`spyoncino subscribe` takes name, password and CA from files', async () => {
  await using bus = await startTls();
  await writeFile(path('password'), 'right\n');
  const verb = ['device/cli/spyoncino.js', 'subscribe', '--port', String(bus.secure), '--count', '1'];
  const named = ['--username', 'bob', '--ca', path('house.crt')];
  const { stdout } = await run(process.execPath, [...verb, ...named, '--password-file', path('password')]);
  expect(stdout).toContain('"state":"online"');
  const wrong = run(process.execPath, [...verb, ...named], { env: { SPYONCINO_BUS_PASSWORD: 'wrong' } });
  await expect(wrong).rejects.toMatchObject({ stderr: expect.stringContaining('UNAUTHENTICATED') });
});

test('a certificate of the right CA stands for name and password', async () => {
  await using bus = await startTls('optional');
  await using _anna = await connectClient(bus.secure, { ...(await trusting()), ...(await showing('anna')) });
  await using _bob = await connectClient(bus.secure, { ...(await trusting()), ...user });
  await expect(
    connectClient(bus.secure, { ...(await trusting()), ...(await showing('eve')) }),
  ).rejects.toThrow('Not authorized');
});

test('where certificates are required, nobody gets in without', async () => {
  await using bus = await startTls('required');
  await expect(connectClient(bus.secure, { ...(await trusting()), ...user })).rejects.toThrow();
  await using _anna = await connectClient(bus.secure, { ...(await trusting()), ...(await showing('anna')) });
  await expect.poll(() => bus.meter.drops('handshake_failed')).toBe(1);
  expect(bus.clients).toBe(1);
});

test('a new certificate counts for new connections, and an old one that cannot be used changes nothing', async () => {
  await using bus = await startTls();
  const shown = async (): Promise<string> => {
    await using client = await connectClient(bus.secure, { ...(await trusting()), ...user });
    return (client.stream as TLSSocket).getPeerCertificate().subject['CN'] as string;
  };
  await using before = await connectClient(bus.secure, { ...(await trusting()), ...user });
  expect(await shown()).toBe('one');
  bus.certificates.change(await identity('two'));
  expect(await shown()).toBe('two');
  bus.certificates.change({ key: 'no key', cert: 'no certificate' });
  expect(await shown()).toBe('two');
  expect(before.connected).toBe(true);
});

test('what is no TLS gets nowhere', async () => {
  await using bus = await startTls();
  using plain = await connectRaw(bus.secure);
  plain.resume();
  plain.write('GET / HTTP/1.1\r\n\r\n');
  await new Promise((resolve) => plain.once('close', resolve));
  await using _bob = await connectClient(bus.secure, { ...(await trusting()), ...user });
});
