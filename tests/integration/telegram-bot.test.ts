/** The bot against a Bot API double, before the real door; behind the door stand handlers that remember. */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AuditLine } from '../../device/contract/access.ts';
import { COMMANDS, type CommandName } from '../../device/contract/commands.ts';
import { CodedError } from '../../device/contract/errors.ts';
import type { BotSettings } from '../../device/contract/notify.ts';
import { CommandDoor, type Handlers, type Order } from '../../device/control/index.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { makePicture } from '../../device/kernel/pictures.ts';
import { BotAccess, TelegramBot } from '../../device/notify/index.ts';
import { sha256Of, TelegramServer, TOKEN } from '../doubles/telegram-server.ts';

const [ADMIN, OPERATOR, STRANGER, GROUP] = [42, 7, 666, -100];
const PASSWORD = 'a long setup password';
const log = pino({ level: 'silent' });

let folder: string;
let server: TelegramServer;
let bot: TelegramBot;
let access: BotAccess;
let orders: { command: string; order: Order }[];
let audit: AuditLine[];
let draw: (svg: string, signal: AbortSignal) => Promise<Uint8Array>;

const RESULTS: Partial<Record<CommandName, (order: Order) => unknown>> = {
  'system.status': () => ({
    status: 'degraded',
    modules: {
      'modules.storage.retention': { status: 'healthy', reasons: [] },
      'modules.output.webhook_notifier': {
        status: 'degraded',
        reasons: [new CodedError('NOTIFY_UNREACHABLE').report()],
      },
    },
  }),
  'camera.snapshot': ({ cameraId }) => {
    if (cameraId === 'nowhere') throw new CodedError('CAMERA_UNKNOWN', cameraId);
    return { path: 'now.jpg' };
  },
  'recordings.get': () => ({ path: 'clip.mp4', item_id: 'e1' }),
  'recordings.list': () => ({
    items: [{ id: 'e1', label: 'person', camera_id: 'porch', start_ts: Date.UTC(2026, 2, 1, 12) }],
  }),
  'arm.set': ({ arguments: wanted }) => ({
    ...{ mode: (wanted as { mode: string }).mode, by: 'x', muted_until_ts: null, next: null },
  }),
  'arm.get': () => ({ mode: 'home', by: 'x', muted_until_ts: null, next: null }),
  'notifications.mute': () => ({ mode: 'home', by: 'x', muted_until_ts: 0, next: null }),
  'analytics.summary': () => ({
    hours: 24,
    start_ts: 0,
    end_ts: 86_400_000,
    by_hour: [{ start_ts: 3_600_000, by_type: { person: 2, cat: 1 } }],
    stats: { total_events: 3, by_type: { person: 2, cat: 1 }, by_camera: { porch: 3 } },
  }),
  'analytics.timeline': () => ({
    hours: 24,
    start_ts: 0,
    end_ts: 2400,
    cameras: [
      {
        ...{ camera_id: 'porch', coverage: [{ start_ts: 0, end_ts: 2400 }], gaps: [] },
        events: [5, 2350].map((start_ts) => ({ start_ts, end_ts: start_ts + 5, label: 'person' })),
      },
    ],
  }),
  'config.get': ({ arguments: wanted }) => ({
    fingerprint: 'f'.repeat(64),
    data: (wanted as { key?: string }).key === undefined ? 'x'.repeat(10_000) : { enabled: true },
  }),
  'config.update': () => ({ summary: 'nothing changes' }),
  'telegram.users': async ({ arguments: wanted }) => {
    const { action, user_id } = wanted as { action: string; user_id?: number };
    if (action === 'add') await access.add(user_id!);
    if (action === 'remove') await access.remove(user_id!);
    return { users: access.users };
  },
};

async function startBot(more: Partial<BotSettings> = {}): Promise<void> {
  const settings: BotSettings = {
    ...{ enabled: true, token: TOKEN, apiRoot: server.url, timeZone: 'UTC', allowGroups: false },
    ...{ isSilent: true, rateLimit: { maxEvents: 10, perMs: 60_000 } },
    ...{ setupPassword: null, superuserId: ADMIN, userIds: [OPERATOR] },
    ...more,
  };
  access = await BotAccess.open(join(folder, 'state'), settings, systemClock, log);
  const handle =
    (command: CommandName) =>
    (order: Order): unknown => {
      orders.push({ command, order });
      return RESULTS[command]?.(order) ?? {};
    };
  const handlers = Object.fromEntries(
    (Object.keys(COMMANDS) as CommandName[]).map((name) => [name, handle(name)]),
  ) as unknown as Handlers;
  bot = new TelegramBot({
    ...{ settings, access, quiet: null, dataDir: folder, clock: systemClock, log },
    door: new CommandDoor({ handlers, audit: (line) => audit.push(line), clock: systemClock, log }),
    cameras: () => ['porch', 'yard'],
    draw: (svg, signal) => draw(svg, signal),
  });
  bot.start();
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-bot-'));
  await writeFile(join(folder, 'now.jpg'), 'a picture');
  await writeFile(join(folder, 'clip.mp4'), 'a clip');
  server = await TelegramServer.start([ADMIN, OPERATOR, STRANGER, GROUP].map(String));
  orders = [];
  draw = (svg, signal) => makePicture({ kind: 'svg' }, Buffer.from(svg), signal);
  audit = [];
});
afterEach(async () => {
  await bot.stop();
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** What comes back in the chat. */
async function say(from: number, text: string, chat?: { id: number; type: string }) {
  const chatId = String(chat?.id ?? from);
  const before = server.chat(chatId).length;
  server.write(from, text, chat);
  await server.shows(() => server.chat(chatId).length > before);
  return server.chat(chatId).at(-1)!;
}

test('an operator asks; the door knows who that is, and writes it down', async () => {
  await startBot();
  expect((await say(OPERATOR, '/status')).words).toContain('output.webhook_notifier: Whoever should');
  expect(await say(OPERATOR, '/snap')).toMatchObject({ kind: 'photo', words: 'porch' });
  expect(await say(OPERATOR, '/snapshot@attic_bot yard')).toMatchObject({
    kind: 'photo',
    sha256: sha256Of(Buffer.from('a picture')),
  });
  expect(await say(OPERATOR, '/clip')).toMatchObject({
    kind: 'video',
    sha256: sha256Of(Buffer.from('a clip')),
  });
  expect((await say(OPERATOR, '/arm away')).words).toBe('away (x)');
  expect((await say(OPERATOR, '/disarm')).words).toBe('disarmed (x)');
  await say(OPERATOR, '/mute 2h');
  expect((await say(OPERATOR, '/analytics 24')).words).toContain('████████████ 2 person\n██████ 1 cat');
  expect((await say(OPERATOR, '/timeline')).words).toContain('█······················█ porch: 2 events');
  expect(orders.map(({ command }) => command)).toEqual([
    ...['system.status', 'camera.snapshot', 'camera.snapshot', 'recordings.get', 'arm.set', 'arm.set'],
    ...['notifications.mute', 'analytics.summary', 'analytics.timeline'],
  ]);
  expect(orders[1]?.order).toMatchObject({ cameraId: 'porch' });
  expect(orders[6]?.order).toMatchObject({ arguments: { minutes: 120 } });
  expect(orders[0]?.order.caller).toEqual({
    ...{ user: `telegram:${OPERATOR}`, role: 'operator', surface: 'telegram' },
  });
  expect(audit).toHaveLength(orders.length);
});

test('what goes wrong is told in words with advice', async () => {
  await startBot();
  expect((await say(OPERATOR, '/snap nowhere')).words).toContain('no camera with this id');
  expect((await say(OPERATOR, '/mute tomorrow')).words).toContain('30m or 2h');
  expect((await say(OPERATOR, '/arm nonsense')).words).toContain('arguments.mode');
  expect((await say(OPERATOR, '/dance')).words).toContain('/help');
});

test('buttons do what they say', async () => {
  await startBot();
  const modes = await say(OPERATOR, '/arm');
  expect(modes.buttons).toEqual(['arm disarmed', 'arm home', 'arm away', 'arm night']);
  server.press(OPERATOR, 'arm night', modes);
  await server.shows(() => server.chat(String(OPERATOR)).some(({ words }) => words === 'night (x)'));
  const list = await say(OPERATOR, '/recordings');
  expect(list.buttons).toEqual(['clip e1']);
  server.press(OPERATOR, list.buttons[0]!, list);
  await server.shows(() => server.chat(String(OPERATOR)).some(({ kind }) => kind === 'video'));
  // A stranger who forges one gets nothing.
  server.press(STRANGER, 'arm disarmed', modes);
  await say(OPERATOR, '/whoami');
  expect(orders.filter(({ order }) => order.caller.user === `telegram:${STRANGER}`)).toEqual([]);
});

test('strangers are not answered, groups not heard, an operator is no admin', async () => {
  await startBot();
  server.write(STRANGER, '/disarm');
  server.write(OPERATOR, '/disarm', { id: GROUP, type: 'group' });
  expect((await say(OPERATOR, '/config outputs.telegram.enabled false')).words).toContain('may not');
  expect((await say(OPERATOR, '/whitelist_add 666')).words).toContain('may not');
  expect(orders).toEqual([]);
  expect(server.chat(String(STRANGER))).toEqual([]);
  expect(server.chat(String(GROUP))).toEqual([]);
});

test('with nobody named, nobody may anything', async () => {
  await startBot({ superuserId: null, userIds: [], isSilent: false });
  expect((await say(STRANGER, '/status')).words).toContain('may not');
  expect((await say(STRANGER, '/setup anything at all')).words).toContain('has an owner already');
  expect(orders).toEqual([]);
});

test('groups by flag, from those who may', async () => {
  await startBot({ allowGroups: true });
  const group = { id: GROUP, type: 'supergroup' };
  server.write(STRANGER, '/disarm', group);
  server.write(OPERATOR, '/disarm@other_bot', group);
  expect((await say(OPERATOR, '/arm@attic_bot home', group)).words).toBe('home (x)');
  expect(orders).toHaveLength(1);
});

test('who knows the setup password first becomes admin, and stays it; who guesses is locked out', async () => {
  await startBot({ superuserId: null, userIds: [], setupPassword: PASSWORD, isSilent: false });
  for (let i = 0; i < 5; i++) await say(STRANGER, '/setup guess');
  expect((await say(STRANGER, `/setup ${PASSWORD}`)).words).toContain('Too many');
  expect((await say(ADMIN, `/setup ${PASSWORD}`)).words).toContain('You are admin now');
  expect((await say(OPERATOR, `/setup ${PASSWORD}`)).words).toContain('has an owner already');
  expect((await say(ADMIN, `/whitelist_add ${OPERATOR}`)).words).toContain(String(OPERATOR));
  expect((await stat(join(folder, 'state', 'telegram.json'))).mode & 0o777).toBe(0o600);

  await bot.stop();
  await startBot({ superuserId: null, userIds: [], setupPassword: PASSWORD });
  expect((await say(OPERATOR, '/whoami')).words).toBe(`${OPERATOR}, operator`);
  expect((await say(ADMIN, `/whitelist_remove ${OPERATOR}`)).words).not.toContain(`${OPERATOR}`);
  server.write(OPERATOR, '/whoami');
  expect((await say(ADMIN, '/config outputs.group_seconds 30')).words).toBe('nothing changes');
  expect(orders.at(-1)?.order.arguments).toMatchObject({ key: 'outputs.group_seconds', value: 30 });
});

test('more commands than a user may send are refused', async () => {
  await startBot({ rateLimit: { maxEvents: 2, perMs: 60_000 } });
  await say(OPERATOR, '/whoami');
  await say(OPERATOR, '/whoami');
  expect((await say(OPERATOR, '/whoami')).words).toContain('Too many requests');
  expect((await say(ADMIN, '/whoami')).words).toContain('admin');
});

test('health says whether it listens, and why not', async () => {
  await startBot();
  await say(OPERATOR, '/whoami');
  expect(bot.health()).toMatchObject({ status: 'healthy', details: { bot_running: true, commands: 1 } });
  await bot.stop();
  await startBot({ token: null });
  expect(bot.health()).toMatchObject({ status: 'degraded', reasons: [{ code: 'NOTIFY_UNCONFIGURED' }] });
});

test('timeline and analytics are pictures with words; where they cannot be drawn, words', async () => {
  await startBot();
  const drawn: string[] = [];
  const real = draw;
  draw = async (svg, signal) => {
    const png = await real(svg, signal);
    drawn.push(sha256Of(png));
    expect(Buffer.from(png).subarray(1, 4).toString()).toBe('PNG');
    return png;
  };
  for (const command of ['/timeline', '/analytics']) {
    const { kind, sha256, words } = await say(OPERATOR, command);
    expect({ kind, sha256 }).toEqual({ kind: 'photo', sha256: drawn.at(-1) });
    expect(words).not.toBe('');
  }
  draw = () => Promise.reject(new Error('no sharp here'));
  expect(await say(OPERATOR, '/timeline')).toMatchObject({
    kind: 'text',
    words: expect.stringContaining('porch: 2 events') as string,
  });
});

test('the configuration is shown to the admin, as a file where it is long', async () => {
  await startBot();
  expect(await say(ADMIN, '/show_config')).toMatchObject({
    kind: 'document',
    sha256: sha256Of(Buffer.from(JSON.stringify('x'.repeat(10_000)))),
  });
  expect((await say(ADMIN, '/show_config outputs.telegram')).words).toBe(
    'outputs.telegram (ffffffffffff)\n{\n  "enabled": true\n}',
  );
});
