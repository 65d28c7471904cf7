import { expect, test } from 'vitest';
import { expected, footageIn, uploadRig } from '../harness/s3/rig.ts';

const MB = 2 ** 20;

test('what is committed arrives once, byte for byte, what tells most first', async () => {
  await using rig = await uploadRig({ settings: { maxConcurrency: 1 } });
  const planted = await rig.plant(9, (n) => 1000 + n);
  await using run = rig.start();
  await run.drained();
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
  const rank = { still: 0, clip: 1, segment: 2 };
  expect(run.sent.map(({ kind, ref }) => [kind, ref])).toEqual(
    planted.toSorted((a, b) => rank[a.kind] - rank[b.kind]).map(({ kind, ref }) => [kind, ref]),
  );
  expect(rig.index.store.get('SELECT count(*) AS n FROM outbox')).toEqual({ n: 0 });
  expect(rig.index.store.get(`SELECT count(*) AS n FROM remote WHERE state = 'verified'`)).toEqual({ n: 9 });
  expect(rig.index.store.get('SELECT count(*) AS n FROM file WHERE uploaded_ms IS NULL')).toEqual({ n: 0 });
});

test('a large file goes in parts, and goes on where the connection was cut', async () => {
  await using rig = await uploadRig();
  const [large] = await rig.plant(1, () => 23 * MB + 17);
  rig.proxy.breakAt(12 * MB, 'request');
  await using run = rig.start();
  await run.drained();
  expect(run.failures).toEqual(['S3_INTERRUPTED']);
  expect(footageIn(await rig.bucket())).toEqual(expected([large!]));
  // Parts that had arrived were not sent again.
  expect(rig.proxy.sentBytes).toBeLessThan(23 * MB + 6 * MB);
});
