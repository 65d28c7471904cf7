/** The bucket without the device: `spyoncino remote`. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { remoteManifestDue } from '../../device/library/remote-manifest.ts';
import type { PlantedObject } from '../harness/s3/footage.ts';
import { BUCKET, clientOf, PREFIX, uploadRig, type UploadRig } from '../harness/s3/rig.ts';
import { S3_KEY } from '../harness/s3/server.ts';

let rig: UploadRig;
let folder: string;
let planted: readonly PlantedObject[];

beforeAll(async () => {
  rig = await uploadRig();
  planted = await rig.plant(9, (n) => 4000 + n);
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-remote-'));
  const remote = {
    enabled: true,
    endpoint: `http://127.0.0.1:${rig.server.port}`,
    bucket: BUCKET,
    prefix: PREFIX,
  };
  await writeFile(join(folder, 'config.yaml'), stringify({ storage: { remote } }));
  const keys = { access_key_id: S3_KEY, secret_access_key: S3_KEY };
  await writeFile(join(folder, 'secrets.yaml'), stringify({ storage: { remote: keys } }), { mode: 0o600 });
  {
    await using run = rig.start();
    await run.drained();
  }
  // Long ago, so that the manifest need not be waited for.
  rig.index.store.run('UPDATE manifest SET changed_ms = 0');
  await using run = rig.start();
  const isWritten = (): void => expect(remoteManifestDue(rig.index, { changedBeforeUtcMs: 1 })).toEqual([]);
  await vi.waitFor(isWritten, { timeout: 20_000 });
  await run.uploader.compare();
});
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function remote(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const argv = ['device/cli/spyoncino.js', 'remote', ...args, '--config-dir', folder, '--data-dir', folder];
  return await promisify(execFile)(process.execPath, argv).then(
    (done) => ({ code: 0, ...done }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
}

test('list says what there is of each day', async () => {
  const { code, stdout } = await remote('list', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    ...{ camera_id: 'porch', day: '2026-03-01', stills: 3, clips: 3, segments: 3 },
    size_bytes: planted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    covered_ms: 6 * 50_000,
  });
  expect((await remote('list', '--camera', 'porch')).stdout).toContain('porch 2026-03-01: 3 stills');
  expect((await remote('list', '--day', '2020-01-01')).stderr).toContain('there is no manifest');
});

test('restore brings everything back, byte for byte, and the second time nothing', async () => {
  const to = join(folder, 'media');
  expect((await remote('restore', '--to', to, '--json')).stdout).toContain('"restored":9');
  for (const { key, path } of planted) {
    expect(await readFile(join(to, key))).toEqual(await readFile(join(rig.dataDir, path)));
  }
  expect((await remote('restore', '--to', to, '--json')).stdout).toContain('"restored":0,"present":9');
});

test('verify finds what is missing or another, deep what only looks the same', async () => {
  expect(await remote('verify', '--deep')).toMatchObject({ code: 0 });
  const client = clientOf(rig.server.port);
  const [gone, short, same] = planted as [PlantedObject, PlantedObject, PlantedObject];
  await client.removeObject(BUCKET, PREFIX + gone.key);
  await client.putObject(BUCKET, PREFIX + short.key, Buffer.from('short'));
  await client.putObject(BUCKET, PREFIX + same.key, Buffer.alloc(same.sizeBytes));
  for (const args of [['verify'], ['verify', '--deep']]) {
    const { code, stdout } = await remote(...args);
    expect(code).toBe(1);
    expect(stdout).toContain(`${gone.key} is missing`);
    expect(stdout).toContain(`${short.key} is NOT what was sent`);
    expect(stdout).toContain(`${same.key} is NOT what was sent`);
    expect(stdout).toContain('6 of 9 objects are there');
  }
  expect((await remote('restore', '--to', join(folder, 'other'))).code).toBe(1);
});

test('what is not understood or not configured is said', async () => {
  expect((await remote('restore')).stderr).toContain('--to DIR');
  expect((await remote('list', '--day', 'today')).code).toBe(2);
  await writeFile(join(folder, 'config.yaml'), '');
  expect((await remote('list')).stderr).toContain('[UPLOADS_OFF]');
});
