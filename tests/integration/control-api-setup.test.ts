import { expect, test } from 'vitest';
import { PASSWORD, startApi, startDevice } from './web-fixture.ts';

test('without an owner nobody may anything; the code on the console makes one, once', async () => {
  await using device = await startDevice({ owned: false });
  await using api = await startApi(device);
  expect((await api.call('GET', '/api/setup')).json).toEqual({ needed: true });
  expect((await api.call('GET', '/api/cameras')).status).toBe(401);
  const body = { code: device.code, name: 'ada', password: PASSWORD };
  expect((await api.call('POST', '/api/setup', { body: { ...body, code: 'AAAAA-AAAAA' } })).status).toBe(401);
  expect((await api.call('POST', '/api/setup', { body: { ...body, password: 'ada' } })).status).toBe(422);
  const owner = await api.call('POST', '/api/setup', { body });
  expect(owner).toMatchObject({ status: 201, json: { user: 'ada', role: 'admin' } });
  const cookie = owner.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
  expect((await api.call('GET', '/api/users', { headers: { cookie } })).status).toBe(200);
  expect((await api.call('GET', '/api/setup')).json).toEqual({ needed: false });
  expect(await api.call('POST', '/api/setup', { body })).toMatchObject({
    status: 409,
    json: { error: { code: 'SETUP_CLOSED' } },
  });
});

test('who guesses the password is locked out, with the right one too', async () => {
  await using device = await startDevice();
  await using api = await startApi(device);
  const login = (password: string) => api.call('POST', '/api/login', { body: { name: 'ada', password } });
  for (let i = 0; i < 5; i++) expect((await login(`guess ${i}`)).status).toBe(401);
  expect(await login(PASSWORD)).toMatchObject({
    status: 429,
    headers: { 'retry-after': '300' },
    json: { error: { code: 'LOCKED_OUT' } },
  });
  // Programs with tokens at the same address go on.
  expect((await api.call('GET', '/api/me', { token: device.tokens.viewer })).status).toBe(200);
});
