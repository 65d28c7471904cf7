import fc from 'fast-check';
import { expect, test } from 'vitest';
import { redactUrls } from '../../../device/kernel/log.ts';

const secret = fc.stringMatching(/^[A-Za-z0-9!$&()*+,;=:%@._~-]{4,20}$/);

test('no credential of a URL survives, whatever characters it has', () => {
  fc.assert(
    fc.property(secret, secret, (user, password) => {
      const line = redactUrls(`open "rtsp://${user}:${password}@10.0.0.7:554/main" failed`);
      expect(line).toBe('open "rtsp://***@10.0.0.7:554/main" failed');
    }),
  );
});

test('what has no credentials stays as it is', () => {
  const line = '{"url":"rtsp://10.0.0.7/main","mail":"someone@example.org","topic":"a/b@c"}';
  expect(redactUrls(line)).toBe(line);
});
