import { expect, test } from 'vitest';
import { recordingsReply } from '../../../device/notify/bot/replies.ts';

const NOW = { utcMs: Date.UTC(2026, 2, 1, 0, 30), timeZone: 'Europe/Rome' };

test('recordings stand under their day where the camera is, numbered as their buttons, four in a row', () => {
  const minutesAgo = [5, 60, 100, 1500, 1600, 9000];
  const items = minutesAgo.map((minutes, at) => ({
    id: `e${at}`,
    label: 'person',
    camera_id: 'porch',
    start_ts: NOW.utcMs - minutes * 60_000,
  }));
  const { text, buttons } = recordingsReply({ items }, NOW);
  expect(text.split('\n')).toEqual([
    'Today',
    '1. 01:25 person, porch',
    '2. 00:30 person, porch',
    '',
    'Yesterday',
    '3. 23:50 person, porch',
    '4. 00:30 person, porch',
    '',
    'Older',
    '5. 02-27 22:50 person, porch',
    '6. 02-22 19:30 person, porch',
  ]);
  expect(buttons?.map((row) => row.map(({ text, press }) => `${text} ${press}`))).toEqual([
    ['1 clip e0', '2 clip e1', '3 clip e2', '4 clip e3'],
    ['5 clip e4', '6 clip e5'],
  ]);
});

test('without recordings it says so, and what no button can carry is left out', () => {
  expect(recordingsReply({ items: [] }, NOW)).toEqual({ text: 'There are no recordings.' });
  const endless = { id: 'x'.repeat(80), label: 'person', camera_id: 'porch', start_ts: NOW.utcMs };
  expect(recordingsReply({ items: [endless] }, NOW)).toEqual({ text: 'There are no recordings.' });
});
