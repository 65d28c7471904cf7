import { expect, test } from 'vitest';
import { CodedError } from '../../../device/contract/errors.ts';
import type { Digest, Incident, Notice } from '../../../device/contract/notify.ts';
import type { Message } from '../../../device/notify/delivery.ts';
import { gpioReceiver } from '../../../device/notify/gpio.ts';
import { newNotice } from '../../../device/notify/steps.ts';

const NOW = 1_000_000;
const incident: Incident = { kind: 'incident', events: [], clipId: null };
const digest = (incidents: number): Digest => ({
  ...{ kind: 'digest', incidents, startUtcMs: NOW, endUtcMs: NOW, events: {} },
});

const messageOf = (notice: Notice): Message => ({
  ...{ key: 'key', notice, subject: '', text: '', isRepeated: false, stillPath: null, previewPath: null },
  clip: () => Promise.resolve(null),
});

/** How often the output runs for it. */
async function runsFor(content: Incident | Digest): Promise<number> {
  let runs = 0;
  const receiver = gpioReceiver('siren', () => Promise.resolve(void runs++));
  await receiver.send(messageOf(newNotice('notice', content, NOW)), new AbortController().signal);
  return runs;
}

test('a siren runs for an incident and for a test, and is silent about what is over', async () => {
  expect(await runsFor(incident)).toBe(1);
  expect(await runsFor(digest(0))).toBe(1);
  expect(await runsFor(digest(3))).toBe(0);
});

test('a siren that rests is asked again when it has rested', async () => {
  const resting = Object.assign(new CodedError('GPIO_RESTING'), { restMs: 4000 });
  const receiver = gpioReceiver('siren', () => Promise.reject(resting));
  const sent = receiver.send(messageOf(newNotice('notice', incident, NOW)), new AbortController().signal);
  await expect(sent).rejects.toMatchObject({ code: 'GPIO_RESTING', isFinal: false, retryAfterMs: 4000 });
});
