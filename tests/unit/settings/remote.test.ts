import { join } from 'node:path';
import { expect, test } from 'vitest';
import { recipientText } from '../../../device/contract/recipient.ts';
import { newKeyPair } from '../../../device/sync/index.ts';
import { planChange, planInWords } from '../../../device/settings/index.ts';
import { load, refusal } from './config-dir.ts';

const remote = { enabled: true, endpoint: 'https://minio.lan:9000', bucket: 'footage' };
const withRemote = (more: object = {}) => ({
  node: { id: 'attic' },
  storage: { remote: { ...remote, ...more } },
});
const keys = { storage: { remote: { access_key_id: 'who', secret_access_key: 'hush' } } };

test('out of the box nothing leaves the device, whatever else is configured', async () => {
  expect((await load({})).settings.remote).toBeNull();
  const off = { config: withRemote({ enabled: false }), secrets: keys };
  expect((await load(off)).settings.remote).toBeNull();
});

test('a bucket, with keys from secrets.yaml', async () => {
  const { settings, warnings, config } = await load({
    config: withRemote({
      max_mbit_per_s: 8,
      part_mb: 5,
      ca_file: 'ca.pem',
      object_lock: { mode: 'GOVERNANCE', days: 2 },
    }),
    secrets: keys,
  });
  expect(settings.remote).toMatchObject({
    ...{ endpoint: 'https://minio.lan:9000', bucket: 'footage', prefix: 'attic/', pathStyle: true },
    credentials: { accessKeyId: 'who', secretAccessKey: 'hush', sessionToken: null },
    ...{ kinds: ['still', 'clip', 'segment'], maxBytesPerSecond: 1e6, partBytes: 5 * 2 ** 20 },
    objectLock: { mode: 'GOVERNANCE', ms: 2 * 86_400_000 },
    checkIntervalMs: 86_400_000,
  });
  expect(settings.remote?.caFile).toMatch(new RegExp(`${join('/', 'ca.pem')}$`));
  expect(warnings).toEqual([]);
  // What is shown, told and kept in the history.
  expect(JSON.stringify(config)).not.toContain('hush');
});

test('keys from the environment win; half of them are none', async () => {
  const env = { SPYONCINO_STORAGE__REMOTE__SECRET_ACCESS_KEY: 'louder' };
  const { settings } = await load({ config: withRemote(), secrets: keys }, { env });
  expect(settings.remote?.credentials).toMatchObject({ accessKeyId: 'who', secretAccessKey: 'louder' });
  expect((await load({ config: withRemote() }, { env })).settings.remote?.credentials).toBeNull();
});

test('the older name of the bucket is taken, with a warning', async () => {
  const { settings, warnings } = await load({
    config: { storage: { remote: { enabled: true, endpoint: remote.endpoint, bucket_name: 'footage' } } },
  });
  expect(settings.remote?.bucket).toBe('footage');
  expect(warnings).toEqual([
    expect.stringMatching(
      /^CONFIG_KEY_RENAMED: .*storage\.remote\.bucket_name is now storage\.remote\.bucket/,
    ),
  ]);
});

test.each([
  [{ endpoint: 'https://who:hush@minio.lan' }, 'must not contain user name and password'],
  [{ endpoint: 'minio.lan' }, 'must be an address like https://host'],
  [{ endpoint: null }, 'needs endpoint and bucket'],
  [{ bucket: null }, 'needs endpoint and bucket'],
  [{ bucket: 'My_Bucket' }, 'must be 3 to 63 of a-z'],
  [{ secret_access_key: 'hush' }, 'goes into secrets.yaml, as storage.remote.secret_access_key'],
  [{ prefix: 'attic' }, 'end with /'],
  [{ prefix: '../' }, 'end with /'],
  [{ windows: ['22-6'] }, 'must be like 22:00-06:00'],
  [{ part_mb: 4 }, 'at least 5'],
  [
    { lifecycle_tags: Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`k${n}`, 'v'])) },
    'at most 10',
  ],
])('%j is refused, and nothing secret is repeated', async (more, why) => {
  const { message } = await refusal({ config: withRemote(more) });
  expect(message).toContain(why);
  expect(message).not.toContain('hush');
});

test('a change of the bucket, or of its keys, touches nothing but uploads', async () => {
  const before = (await load({ config: withRemote() })).settings;
  const elsewhere = (await load({ config: withRemote({ bucket: 'other' }) })).settings;
  const keyed = (await load({ config: withRemote(), secrets: keys })).settings;
  for (const after of [elsewhere, keyed]) {
    expect(planInWords(planChange(before, after))).toBe('uploads is rebuilt; nothing else');
  }
});

test('secrets of the original system are taken, each with a warning that repeats no value', async () => {
  const s3 = {
    ...{ access_key_id: 'who', secret_access_key: 'hush', session_token: 'short', iam_profile: 'role' },
    ...{ bucket: 'footage', region: 'eu-1', endpoint_url: 'https://minio.lan:9000' },
  };
  const config = { node: { id: 'attic' }, storage: { s3: { enabled: true } } };
  const { settings, warnings, written, fingerprint } = await load({ config, secrets: { s3 } });
  expect(settings.remote).toMatchObject({
    ...{ endpoint: 'https://minio.lan:9000', bucket: 'footage', region: 'eu-1' },
    credentials: { accessKeyId: 'who', secretAccessKey: 'hush', sessionToken: 'short' },
  });
  const about = (key: string): string => warnings.find((line) => line.includes(` s3.${key} `)) ?? '';
  expect(about('access_key_id')).toMatch(
    /^CONFIG_KEY_RENAMED: .*secrets\.yaml:\d+: s3\.access_key_id is now storage\.remote\.access_key_id$/,
  );
  expect(about('secret_access_key')).toMatch(/^CONFIG_KEY_RENAMED: /);
  expect(about('session_token')).toMatch(/^CONFIG_KEY_RENAMED: /);
  expect(about('endpoint_url')).toMatch(/is now storage\.remote\.endpoint, in config\.yaml$/);
  expect(about('iam_profile')).toMatch(/^CONFIG_KEY_RETIRED: .*keys are needed/);
  for (const value of ['who', 'hush', 'short', 'footage', 'minio.lan']) {
    expect(warnings.join(), value).not.toContain(value);
  }
  // What is written, and kept in the history, is config.yaml alone.
  expect(written).toEqual(config);
  expect(fingerprint).toBe(
    (await load({ config: { ...config }, secrets: { s3: { ...s3, bucket: 'other' } } })).fingerprint,
  );
});

test('the keys of now win over those of the original system, config.yaml over its secrets', async () => {
  const secrets = { ...keys, s3: { secret_access_key: 'old', access_key_id: 'old', bucket: 'old' } };
  const { settings, warnings } = await load({ config: withRemote(), secrets });
  expect(settings.remote).toMatchObject({
    bucket: 'footage',
    credentials: { accessKeyId: 'who', secretAccessKey: 'hush' },
  });
  expect(warnings.filter((line) => line.includes('which wins'))).toHaveLength(3);
});

test('what the original system never had in its secrets stays refused', async () => {
  const { message } = await refusal({ config: withRemote(), secrets: { s3: { acces_key_id: 'hush' } } });
  expect(message).toContain('s3');
  expect(message).not.toContain('hush');
});

test('for whom everything is encrypted, and how far back footage is copied', async () => {
  const { recipient } = newKeyPair();
  const { settings } = await load({
    config: withRemote({ encrypt_to: recipientText(recipient), backfill_days: 2 }),
  });
  expect(settings.remote).toMatchObject({ encryptTo: recipient, backfillMs: 2 * 86_400_000 });
  expect((await load({ config: withRemote() })).settings.remote).toMatchObject({
    ...{ encryptTo: null, backfillMs: 7 * 86_400_000 },
  });
  for (const encrypt_to of ['x25519:abc', recipientText({ ...recipient, keyId: '0123456789abcdef' })]) {
    const { message } = await refusal({ config: withRemote({ encrypt_to }) });
    expect(message).toContain(
      'storage.remote.encrypt_to must be the public key that `spyoncino keys new` prints',
    );
  }
});
