/** Uploads over TLS, to a server that a CA of the owner vouches for. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requirePackages } from '../harness/packages.ts';
import { uploadRig } from '../harness/s3/rig.ts';

requirePackages(['openssl']);

let folder: string;
const file = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-uploads-tls-'));
  for (const name of ['server', 'stranger']) {
    const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', file(`${name}.key`)];
    const rest = ['-out', file(`${name}.crt`), '-days', '2', '-subj', '/CN=bucket'];
    const names = ['-addext', 'subjectAltName=IP:127.0.0.1,DNS:bucket.lan'];
    await promisify(execFile)('openssl', ['req', '-x509', ...key, ...rest, ...names]);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('whoever nobody vouches for gets nothing; with the right CA everything arrives, parts included', async () => {
  await using rig = await uploadRig({ tls: { certFile: file('server.crt'), keyFile: file('server.key') } });
  const planted = await rig.plant(3, (n) => (n === 1 ? 11 * 2 ** 20 : 5000));
  const endpoint = `https://127.0.0.1:${rig.proxy.port}`;
  for (const caFile of [null, file('stranger.crt'), file('none.crt')]) {
    await using run = rig.start({ endpoint, caFile });
    if (caFile === file('none.crt')) {
      await expect.poll(() => run.uploader.trouble?.code).toBe('S3_TLS_FAILED');
    } else expect((await run.failure()).code).toBe('S3_TLS_FAILED');
  }
  await using run = rig.start({ endpoint, caFile: file('server.crt') });
  await run.drained();
  expect(await run.uploader.compare()).toMatchObject({
    ...{ missing: [], orphaned: [], totalLocal: planted.length, totalRemote: planted.length },
  });
  expect(run.failures).toEqual([]);
});

test('a certificate for another name is refused', async () => {
  await using rig = await uploadRig({ tls: { certFile: file('server.crt'), keyFile: file('server.key') } });
  await rig.plant(1, () => 5000);
  const endpoint = `https://localhost:${rig.proxy.port}`;
  await using run = rig.start({ endpoint, caFile: file('server.crt') });
  const reason = await run.failure();
  expect(reason.code).toBe('S3_TLS_FAILED');
  expect(reason.message).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
});
