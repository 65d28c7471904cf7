import { join } from 'node:path';
import { expect, test } from 'vitest';
import { load, refusal } from './config-dir.ts';

test('out of the box programs on this machine read, and nothing else is open', async () => {
  expect((await load({})).settings.bus).toMatchObject({
    host: '127.0.0.1',
    anonymous: 'read',
    tls: null,
    bridge: null,
    homeAssistant: null,
  });
});

test('a bridge takes its password from secrets.yaml, or from the environment', async () => {
  const config = { bus: { bridge: { url: 'mqtts://broker.lan', username: 'attic', ca_file: 'ca.pem' } } };
  const secrets = { bus: { bridge: { password: 'hush' } } };
  const fromFile = (await load({ config, secrets })).settings.bus.bridge;
  expect(fromFile).toMatchObject({ username: 'attic', password: 'hush', commandsAs: null });
  expect(fromFile?.caFile).toMatch(new RegExp(`${join('/', 'ca.pem')}$`));
  const env = { SPYONCINO_BUS__BRIDGE__PASSWORD: 'louder' };
  expect((await load({ config, secrets }, { env })).settings.bus.bridge?.password).toBe('louder');
});

test.each([
  [{ url: 'mqtt://attic:hush@broker.lan' }, 'bus.bridge.password in secrets.yaml'],
  [{ url: 'http://broker.lan' }, 'must be an address like mqtt://host'],
  [{ url: 'mqtt://broker.lan', password: 'hush' }, 'goes into secrets.yaml'],
  [{ url: 'mqtt://broker.lan', topics: ['event/#'] }, 'must be like event.new'],
  [{ url: 'mqtt://broker.lan', commands_as: 'owner' }, 'commands_as'],
  [{ topics: ['*'] }, 'url'],
])('a bridge like %j is refused, and nothing secret is repeated', async (bridge, why) => {
  const { message } = await refusal({ config: { bus: { bridge } } });
  expect(message).toContain(why);
  expect(message).not.toContain('hush');
});
