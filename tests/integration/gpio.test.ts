/** The GPIO room with real processes, and doubles of libgpiod's tools: what goes wrong, and that it comes right. */
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GpioInputSettings, GpioOutputSettings } from '../../device/contract/gpio.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { Gpio } from '../../device/gpio/index.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { LibgpiodDouble } from '../doubles/libgpiod.ts';
import { startAgent } from '../harness/agent.ts';

const NODE = 'attic';
const LONG_MS = 3_600_000;
const line = { chip: 'gpiochip0', line: 'GPIO17', isActiveLow: false, bias: 'as-is' } as const;
const SIREN: GpioOutputSettings = {
  ...line,
  ...{ id: 'siren', drive: 'push-pull', restMs: 0, maxOnMs: LONG_MS },
  pattern: { onMs: LONG_MS, offMs: 1000, times: 1 },
};
const DOOR: GpioInputSettings = {
  ...line,
  ...{ id: 'door', line: 4, edge: 'rising', debounceMs: 50, holdOffMs: 0 },
  ...{ event: null, armMode: null, pulse: 'siren' },
};

let tools: LibgpiodDouble;
beforeEach(async () => {
  tools = await LibgpiodDouble.create();
});
afterEach(() => tools[Symbol.asyncDispose]());

async function start(outputs: readonly GpioOutputSettings[], inputs: readonly GpioInputSettings[] = []) {
  const triggers: string[] = [];
  const gpio = new Gpio({
    settings: { outputs, inputs },
    path: tools.path,
    onRun: () => {},
    onTrigger: ({ id }, edge) => triggers.push(`${id} ${edge}`),
    meter: noMeter,
    clock: systemClock,
    log: createLog({ name: 'test', level: 'silent' }),
  });
  await gpio.start();
  return {
    gpio,
    triggers,
    health: (id: string) => gpio.modules.find(({ instance }) => instance === id)!.health(),
    [Symbol.asyncDispose]: () => gpio.stop(),
  };
}

/** Looks until it holds; the time limit is that of the test. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await systemClock.sleep(10);
}

test('from the start on an output is off; a run ends off; a stop in the middle of one, too', async () => {
  await using room = await start([{ ...SIREN, pattern: { onMs: 50, offMs: 50, times: 2 } }]);
  await tools.hasBeen('off');
  expect(await room.gpio.pulse('siren')).toMatchObject({ started: true });
  await tools.hasBeen('off', 'on', 'off', 'on', 'off');
  await until(() => room.health('siren').details['state'] === 'off');
  await room.gpio.pulse('siren', LONG_MS);
  expect(await room.gpio.pulse('siren')).toMatchObject({ started: false });
  await room.gpio.quiet('siren');
  await tools.hasBeen('off', 'on', 'off', 'on', 'off', 'on', 'off');
});

test('no run is on for longer than it may, whatever is asked', async () => {
  await using room = await start([{ ...SIREN, maxOnMs: 100 }]);
  await tools.hasBeen('off');
  await room.gpio.pulse('siren', LONG_MS);
  await tools.hasBeen('off', 'on', 'off');
});

test('an output rests between two runs, and after a start', async () => {
  await using room = await start([{ ...SIREN, restMs: LONG_MS }]);
  await tools.hasBeen('off');
  await expect(room.gpio.pulse('siren')).rejects.toMatchObject({ code: 'GPIO_RESTING' });
});

test('in the middle of a run: a change of its settings, a pause, its removal; each time it is off', async () => {
  await using room = await start([SIREN]);
  await tools.hasBeen('off');
  await room.gpio.pulse('siren');
  await room.gpio.configure({ outputs: [{ ...SIREN, maxOnMs: 1000 }], inputs: [] });
  await tools.hasBeen('off', 'on', 'off');
  await until(() => room.health('siren').details['state'] === 'off');
  await room.gpio.pulse('siren');
  const [module] = room.gpio.modules;
  await module?.pausing?.setPaused(true);
  await tools.hasBeen('off', 'on', 'off', 'on', 'off');
  await expect(room.gpio.pulse('siren')).rejects.toMatchObject({ code: 'GPIO_PAUSED' });
  await module?.pausing?.setPaused(false);
  await until(() => room.health('siren').details['state'] === 'off');
  await room.gpio.pulse('siren');
  await room.gpio.configure({ outputs: [], inputs: [] });
  await tools.hasBeen('off', 'on', 'off', 'on', 'off', 'on', 'off');
  await expect(room.gpio.pulse('siren')).rejects.toMatchObject({ code: 'GPIO_UNKNOWN' });
});

test.each([
  ["cannot find GPIO chip character device 'gpiochip0'", 'GPIO_CHIP_MISSING'],
  ["unable to open chip '/dev/gpiochip0': Permission denied", 'GPIO_DENIED'],
  ["unable to request lines on chip '/dev/gpiochip0': Device or resource busy", 'GPIO_LINE_BUSY'],
  ["cannot find line 'GPIO17'", 'GPIO_LINE_UNKNOWN'],
])('%s: degraded as %s until it is over', async (complaint, code) => {
  await tools.set('fault', complaint);
  await using room = await start([SIREN], [DOOR]);
  await until(() => room.health('siren').status === 'degraded' && room.health('door').status === 'degraded');
  expect(room.health('siren').reasons).toMatchObject([{ code }]);
  expect(room.health('door').reasons).toMatchObject([{ code }]);
  await expect(room.gpio.pulse('siren')).rejects.toMatchObject({ code });
  await tools.set('fault', '');
  await until(() => room.health('siren').status === 'healthy' && room.health('door').status === 'healthy');
  expect(await tools.levels()).toEqual(['off']);
});

test('tools that are missing or too old are said to be so, and looked for again', async () => {
  await tools.remove();
  await using room = await start([SIREN], [DOOR]);
  const code = () => room.health('siren').reasons[0]?.code;
  await until(() => code() !== undefined);
  expect(code()).toBe('GPIO_TOOL_MISSING');
  await tools.set('version', 'gpioset (libgpiod) v1.6.3');
  await tools.install();
  await until(() => code() !== 'GPIO_TOOL_MISSING');
  expect(room.health('siren').reasons).toMatchObject([
    { code: 'GPIO_TOOL_OLD', message: expect.stringContaining('1.6.3') as string },
  ]);
  await tools.set('version', 'gpioset (libgpiod) v2.2.1');
  await until(() => room.health('siren').status === 'healthy' && room.health('door').status === 'healthy');
});

test('an input tells of its edges, but not while it is held off', async () => {
  await using room = await start([], [{ ...DOOR, holdOffMs: LONG_MS }]);
  const nudge = (): boolean => {
    void tools.edge('rising');
    return false;
  };
  await until(() => room.health('door').details['state'] === 'watched');
  await until(() => room.triggers.length > 0 || nudge());
  await until(() => (room.health('door').details['held_off'] as number) > 0 || nudge());
  expect(room.triggers).toEqual(['door rising']);
});

test('a process with the room is killed in the middle of a run: the output is off', async () => {
  const holder = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('../vm/guest/gpio-holder.ts', import.meta.url)),
      JSON.stringify({ outputs: [SIREN], inputs: [] }),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: tools.path } },
  );
  const lines = createInterface({ input: holder.stdout });
  holder.stdin.write(`${JSON.stringify({ pulse: 'siren' })}\n`);
  for await (const said of lines) if (said.includes('started')) break;
  holder.kill('SIGKILL');
  const levels = await until(() => holder.signalCode !== null).then(async () => {
    while ((await tools.levels()).at(-1) !== 'off') await systemClock.sleep(10);
    return await tools.levels();
  });
  expect(levels.slice(-2)).toEqual(['on', 'off']);
});

test('a door in a whole agent: an event with its message, a siren, a command; killed, it leaves it off', async () => {
  await using agent = await startAgent({
    config: {
      node: { id: NODE },
      cameras: [{ camera_id: 'porch', test_pattern: true, detection: { enabled: false } }],
      system: { confirm_seconds: 0 },
      outputs: { gpio: { enabled: true, outputs: ['siren'] } },
      gpio: {
        outputs: [{ id: 'siren', line: 'GPIO17', on_seconds: 1, rest_seconds: 0 }],
        inputs: [{ id: 'door', line: 4, event: { cameras: ['porch'], label: 'door', seconds: 1 } }],
      },
    },
    env: { PATH: tools.path },
  });
  await agent.message(
    ({ topic, payload }) =>
      topic === 'status.health.summary' &&
      (payload as Payload<'status.health.summary'>).modules['modules.input.gpio_trigger']?.status ===
        'healthy',
  );
  await agent.message(
    ({ topic, payload }) =>
      topic === 'status.camera.porch' && (payload as Payload<'status.camera.*'>).state === 'running',
  );
  await tools.edge('rising');
  await agent.message(({ topic }) => topic === 'gpio.triggered');
  const { payload } = await agent.message(({ topic }) => topic === 'event.new');
  expect(payload).toMatchObject({ camera_id: 'porch', label: 'door' });
  await agent.message(({ topic }) => topic === 'notify.gpio.sent');
  expect((await agent.message(({ topic }) => topic === 'notify.gpio.queued')).payload).toMatchObject({
    channel: 'gpio',
    target: 'gpio-siren',
  });
  await agent.message(
    ({ topic, payload }) => topic === 'gpio.output' && (payload as Payload<'gpio.output'>).state === 'ended',
  );
  await tools.hasBeen('off', 'on', 'off');

  const operator = await somebody('operator', agent.dataDir, agent.busPort);
  await using _operator = { [Symbol.asyncDispose]: () => operator.endAsync(true) };
  expect(
    await ask(operator, { command: 'gpio.pulse', arguments: { output: 'siren', seconds: 20 } }),
  ).toMatchObject({ ok: true, result: { output: 'siren', started: true } });
  expect(await ask(operator, { command: 'gpio.stop' })).toMatchObject({
    ok: true,
    result: { outputs: ['siren'] },
  });
  await tools.hasBeen('off', 'on', 'off', 'on', 'off');

  await ask(operator, { command: 'gpio.pulse', arguments: { output: 'siren', seconds: 20 } });
  process.kill(agent.pid, 'SIGKILL');
  await tools.hasBeen('off', 'on', 'off', 'on', 'off', 'on', 'off');
});

async function somebody(role: string, dataDir: string, port: number): Promise<MqttClient> {
  const args = ['users', 'token', `a-${role}`, '--role', role, '--data-dir', dataDir];
  const { stdout } = await promisify(execFile)(process.execPath, ['device/cli/spyoncino.js', ...args]);
  return connectAsync({ host: '127.0.0.1', port, username: `a-${role}`, password: stdout.trim() });
}

let requests = 0;

async function ask(client: MqttClient, request: object): Promise<Payload<'dashboard.control.result'>> {
  const request_id = `r${++requests}`;
  const answered = Promise.withResolvers<Payload<'dashboard.control.result'>>();
  const hear = (_topic: string, text: Buffer): void => {
    const result = JSON.parse(text.toString()) as Payload<'dashboard.control.result'>;
    if (result.request_id === request_id) answered.resolve(result);
  };
  client.on('message', hear);
  await client.subscribeAsync(`spyoncino/${NODE}/dashboard/control/result`);
  await client.publishAsync(
    `spyoncino/${NODE}/dashboard/control/command`,
    JSON.stringify({ ...request, request_id }),
    { qos: 1 },
  );
  try {
    return await answered.promise;
  } finally {
    client.off('message', hear);
  }
}
