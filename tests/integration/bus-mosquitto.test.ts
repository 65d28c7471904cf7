import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { TOPICS } from '../../device/contract/topics.ts';
import { requirePackages } from '../harness/packages.ts';
import { mqttTopic, startBus } from './bus-fixture.ts';

requirePackages(['mosquitto-clients']);

const run = promisify(execFile);

test('a stock MQTT client understands us', async () => {
  await using bus = await startBus({ strict: true });
  const args = [
    '-h',
    '127.0.0.1',
    '-p',
    String(bus.port),
    '-t',
    'spyoncino/attic/#',
    '-v',
    '-C',
    '1',
    '-W',
    '20',
  ];
  const { stdout } = await run('mosquitto_sub', args);
  const [topic, ...payload] = stdout.trim().split(' ');
  expect(topic).toBe(mqttTopic('status.availability'));
  expect(TOPICS['status.availability'].payload.parse(JSON.parse(payload.join(' ')))).toEqual({
    state: 'online',
    version: '1.2.3',
  });
});

test('a stock MQTT client is told that it may not publish', async () => {
  await using bus = await startBus();
  const args = [
    '-h',
    '127.0.0.1',
    '-p',
    String(bus.port),
    '-t',
    mqttTopic('motion.start'),
    '-m',
    '{}',
    '-q',
    '1',
  ];
  await expect(run('mosquitto_pub', args, { timeout: 20_000 })).rejects.toThrow();
  expect(bus.meter.drops('publish_refused')).toBeGreaterThan(0);
});
