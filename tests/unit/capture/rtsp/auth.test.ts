import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { Authorizer, chooseChallenge } from '../../../../device/capture/rtsp/auth.ts';

const responseOf = (header: string): string => /response="([0-9a-f]+)"/.exec(header)![1]!;

test('the example of RFC 2617 §3.5', () => {
  const challenge = chooseChallenge([
    'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"',
  ])!;
  const header = new Authorizer(
    challenge,
    { username: 'Mufasa', password: 'Circle Of Life' },
    () => '0a4f113b',
  ).authorize('GET', '/dir/index.html');
  expect(responseOf(header)).toBe('6629fae49393a05397450978507c4ef1');
  expect(header).toContain('opaque="5ccc069c403ebaf9f0171e9517f40e41"');
  expect(header).toContain('qop=auth, nc=00000001, cnonce="0a4f113b"');
});

test.each([
  ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
  ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
])('the example of RFC 7616 §3.9.1 with %s', (algorithm, response) => {
  const challenge = chooseChallenge([
    `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
  ])!;
  const authorizer = new Authorizer(
    challenge,
    { username: 'Mufasa', password: 'Circle of Life' },
    () => 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
  );
  expect(responseOf(authorizer.authorize('GET', '/dir/index.html'))).toBe(response);
});

test('without qop, as cameras ask (RFC 2069)', () => {
  const challenge = chooseChallenge(['Digest realm="cam", nonce="n"'])!;
  const header = new Authorizer(challenge, { username: 'u', password: 'p' }).authorize(
    'DESCRIBE',
    'rtsp://c/1',
  );
  const h = (text: string): string => createHash('md5').update(text).digest('hex');
  expect(responseOf(header)).toBe(h(`${h('u:cam:p')}:n:${h('DESCRIBE:rtsp://c/1')}`));
  expect(header).not.toContain('cnonce');
});

test('the strongest way that is offered and known is taken', () => {
  const md5 = 'Digest realm="r", nonce="a"';
  const sha = 'Digest realm="r", nonce="b", algorithm=SHA-256';
  expect(chooseChallenge(['Basic realm="r"', md5, sha])).toMatchObject({ hash: 'sha256', nonce: 'b' });
  expect(chooseChallenge([`${md5}, Basic realm="r"`])).toMatchObject({ hash: 'md5', nonce: 'a' });
  expect(chooseChallenge(['Digest realm="r", nonce="c", algorithm=SHA-512-256', 'Basic realm="r"'])).toEqual({
    scheme: 'basic',
  });
  expect(
    chooseChallenge(['Negotiate', 'Digest nonce="c"', 'Digest realm="r", nonce="n", qop="auth-int"']),
  ).toBeNull();
});

test('a nonce is counted, and a quote in a name stays inside it', () => {
  const challenge = chooseChallenge([
    'Digest realm="a \\"quoted\\" realm", nonce="n", qop="auth", stale=TRUE',
  ])!;
  expect(challenge).toMatchObject({ realm: 'a "quoted" realm', stale: true });
  const authorizer = new Authorizer(challenge, { username: 'jo"e', password: 'p' });
  expect(authorizer.authorize('PLAY', 'u')).toContain('nc=00000001');
  const second = authorizer.authorize('PLAY', 'u');
  expect(second).toContain('nc=00000002');
  expect(second).toContain('username="jo\\"e", realm="a \\"quoted\\" realm"');
});

test('Basic, in UTF-8', () => {
  const header = new Authorizer({ scheme: 'basic' }, { username: 'joe', password: 'wörd:' }).authorize(
    'PLAY',
    'u',
  );
  expect(header).toBe(`Basic ${Buffer.from('joe:wörd:').toString('base64')}`);
});
