/** Certificates, made. The library is loaded only when one has to be: years apart for most of its life. */
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import type { TlsIdentity } from '../contract/tls.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** Clocks of clients may be behind. */
const EARLIER_MS = DAY_MS;
const AUTHORITY_MS = 3650 * DAY_MS;
/** What browsers take at most (398 days), and one less. */
const SERVER_MS = 397 * DAY_MS;

/** An authority of its own, named after the device so that people know it among others. */
export async function makeAuthority(deviceName: string, nowUtcMs: number): Promise<TlsIdentity> {
  const x509 = await load();
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [`Spyoncino ${deviceName}`] }],
    notBefore: new Date(nowUtcMs - EARLIER_MS),
    notAfter: new Date(nowUtcMs + AUTHORITY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: pem(certificate), key: await privatePem(keys.privateKey) };
}

/** A server certificate for `names` (host names and addresses), signed by the authority. The first is its title. */
export async function makeServer(
  authority: TlsIdentity,
  names: readonly string[],
  nowUtcMs: number,
): Promise<TlsIdentity> {
  return await makeLeaf(authority, {
    ...{ title: names[0] ?? 'spyoncino', use: 'server', names, nowUtcMs, validMs: SERVER_MS },
  });
}

/** A certificate by which a client says who it is. */
export async function makeClient(
  authority: TlsIdentity,
  name: string,
  nowUtcMs: number,
  validMs: number,
): Promise<TlsIdentity> {
  return await makeLeaf(authority, { title: name, use: 'client', names: [], nowUtcMs, validMs });
}

interface Leaf {
  readonly title: string;
  readonly use: 'server' | 'client';
  readonly names: readonly string[];
  readonly nowUtcMs: number;
  readonly validMs: number;
}

async function makeLeaf(
  authority: TlsIdentity,
  { title, use, names, nowUtcMs, validMs }: Leaf,
): Promise<TlsIdentity> {
  const x509 = await load();
  const issuer = new x509.X509Certificate(authority.cert);
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const notBeforeMs = nowUtcMs - EARLIER_MS;
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const alternatives = names.map((value) => ({
    type: isIP(value) ? ('ip' as const) : ('dns' as const),
    value,
  }));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [title.slice(0, 64)] }],
    issuer: issuer.subjectName,
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(Math.min(notBeforeMs + validMs, issuer.notAfter.getTime())),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([use === 'server' ? serverAuth : clientAuth]),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(alternatives)] : []),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { cert: pem(certificate) + authority.cert, key: await privatePem(keys.privateKey) };
}

/** The library wants the second one to be there first. */
async function load() {
  await import('reflect-metadata');
  return await import('@peculiar/x509');
}

/** Positive, and with 127 random bits beyond any repetition. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

const pem = (certificate: { toString(format: 'pem'): string }): string => `${certificate.toString('pem')}\n`;

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({
    format: 'pem',
    type: 'pkcs8',
  }) as string;
}

async function importKey(key: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(key).export({ format: 'der', type: 'pkcs8' });
  return await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
}
