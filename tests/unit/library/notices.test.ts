import { afterEach, beforeEach, expect, test } from 'vitest';
import { CodedError } from '../../../device/contract/errors.ts';
import type { Attempt, Notice } from '../../../device/contract/notify.ts';
import { commitFacts } from '../../../device/library/commit.ts';
import { commitNotices, listAttempts, openNotices, pruneNotices } from '../../../device/library/notices.ts';
import { outboxTake, registerConsumers } from '../../../device/library/outbox.ts';
import { event, libraryRig, NOON_MS, type LibraryRig } from './rig.ts';

let rig: LibraryRig;
beforeEach(async () => {
  rig = await libraryRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

const notice = (noticeId: string, more: Partial<Notice> = {}): Notice => ({
  noticeId,
  content: { kind: 'incident', events: [], clipId: null },
  ...{ status: 'queued', createdUtcMs: NOON_MS, revision: 1, toldRevision: 0, toldUtcMs: null, ref: null },
  ...{ tries: 0, inFlight: false, maybeTold: false },
  ...more,
});
const attempt = (noticeId: string, more: Partial<Attempt> = {}): Attempt => ({
  ...{ noticeId, atUtcMs: NOON_MS, outcome: 'queued', action: 'send', tries: 0, reason: null },
  ...more,
});
const NOTHING = { consumer: 'notify:a', nos: [] };
const take = () => outboxTake(rig.context, { consumer: 'notify:a', limit: 10 });

test('a step is whole: what the outbox held is done when the notice is there, or neither', async () => {
  registerConsumers(rig.context, { 'notify:a': ['event.new'] });
  commitFacts(rig.context, [{ type: 'event', event: event('e') }]);
  const done = { consumer: 'notify:a', nos: take().map(({ no }) => no) };
  const broken = { ...attempt('n'), tries: null as unknown as number };
  const step = { lane: 'a', done, notices: [{ notice: notice('n'), isOpen: true }] };
  expect(() => commitNotices(rig.context, { ...step, attempts: [broken] })).toThrow();
  expect(take()).toHaveLength(1);
  expect(openNotices(rig.context, { lane: 'a' })).toEqual([]);

  commitNotices(rig.context, { ...step, attempts: [attempt('n')] });
  await rig.restart();
  expect(take()).toEqual([]);
  expect(openNotices(rig.context, { lane: 'a' })).toEqual([notice('n')]);
  expect(openNotices(rig.context, { lane: 'b' })).toEqual([]);
});

test('the journal is read newest first, with the reason of a failure', () => {
  const reason = new CodedError('NOTIFY_UNREACHABLE', 'ECONNREFUSED').report();
  commitNotices(rig.context, {
    ...{ lane: 'a', done: NOTHING, notices: [] },
    attempts: [attempt('n'), attempt('n', { outcome: 'failed', tries: 1, reason })],
  });
  expect(listAttempts(rig.context, { limit: 5 })).toEqual([
    { lane: 'a', ...attempt('n', { outcome: 'failed', tries: 1, reason }) },
    { lane: 'a', ...attempt('n') },
  ]);
  expect(listAttempts(rig.context, { limit: 1 })).toHaveLength(1);
});

test('what is forgotten: finished notices that are old, and the oldest lines', () => {
  const put = (noticeId: string, isOpen: boolean): void =>
    commitNotices(rig.context, {
      ...{ lane: 'a', done: NOTHING, attempts: [attempt(noticeId)] },
      notices: [{ notice: notice(noticeId), isOpen }],
    });
  put('open', true);
  put('finished', false);
  rig.clock.nowMs += 1000;
  put('recent', false);
  pruneNotices(rig.context, { beforeUtcMs: NOON_MS + 500, keepAttempts: 2 });
  const left = rig.context.store.all<{ notice_id: string }>(
    'SELECT notice_id FROM notice ORDER BY notice_id',
  );
  expect(left.map(({ notice_id }) => notice_id)).toEqual(['open', 'recent']);
  expect(listAttempts(rig.context, { limit: 9 }).map(({ noticeId }) => noticeId)).toEqual([
    'recent',
    'finished',
  ]);
});
