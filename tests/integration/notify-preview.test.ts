/** A real agent with a real camera process: an event that goes on is shown animated before its clip is there. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { TelegramServer, TOKEN } from '../doubles/telegram-server.ts';
import { startAgent } from '../harness/agent.ts';

const CHAT = '4711';
const NODE = 'attic';

test('words, then a small animated picture, then the clip, all in one message', async () => {
  await using telegram = await TelegramServer.start([CHAT]);
  await using agent = await startAgent({
    config: {
      node: { id: NODE },
      cameras: [
        {
          ...{ camera_id: 'porch', test_pattern: true, detection: { enabled: false } },
          recording: { pre_seconds: 1, post_seconds: 3 },
        },
      ],
      outputs: { telegram: { enabled: true, preview: true, api_root: telegram.url } },
    },
    secrets: { telegram: { token: TOKEN, chat_id: CHAT } },
  });
  const args = ['users', 'token', 'an-admin', '--role', 'admin', '--data-dir', agent.dataDir];
  const { stdout } = await promisify(execFile)(process.execPath, ['device/cli/spyoncino.js', ...args]);
  const client = await connectAsync({
    ...{ host: '127.0.0.1', port: agent.busPort, username: 'an-admin', password: stdout.trim() },
  });
  await client.publishAsync(
    `spyoncino/${NODE}/dashboard/control/command`,
    JSON.stringify({
      ...{ command: 'event.create', camera_id: 'porch' },
      arguments: { label: 'person', duration_seconds: 12 },
    }),
    { qos: 1 },
  );
  await client.endAsync(true);
  const kinds: string[] = [];
  await telegram.shows(() => {
    const kind = telegram.chat(CHAT)[0]?.kind;
    if (kind !== undefined && kinds.at(-1) !== kind) kinds.push(kind);
    return kind === 'video';
  });
  expect(kinds).toEqual(['text', 'animation', 'video']);
  expect(telegram.chat(CHAT)).toHaveLength(1);

  const folder = join(agent.dataDir, 'cache', 'previews', 'porch');
  const names = await readdir(folder);
  expect(names).toHaveLength(1);
  const gif = await readFile(join(folder, names[0]!));
  expect(gif.byteLength).toBeLessThanOrEqual(300_000);
  const { format, pages = 0, width } = await sharp(gif, { animated: true }).metadata();
  expect(format).toBe('gif');
  expect(pages).toBeGreaterThan(1);
  expect(pages).toBeLessThanOrEqual(10);
  expect(width).toBeLessThanOrEqual(480);
});
