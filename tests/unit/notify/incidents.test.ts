import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { IncidentEvent, Notice } from '../../../device/contract/notify.ts';
import { bestOf, digested, incidentOf, NOTHING, withEvent } from '../../../device/notify/incidents.ts';
import { nextSend } from '../../../device/notify/plan.ts';
import { GATE_LABEL } from '../../../device/contract/update.ts';
import { isTold } from '../../../device/notify/routing.ts';
import { folded, newNotice } from '../../../device/notify/steps.ts';

const one = (more: Partial<IncidentEvent> = {}): IncidentEvent => ({
  eventId: 'e',
  cameraId: 'porch',
  label: 'person',
  score: 0.5,
  zones: [],
  startUtcMs: 0,
  endUtcMs: 0,
  stillPath: null,
  ...more,
});

const notice = (events: readonly IncidentEvent[], more: Partial<Notice> = {}): Notice => ({
  ...newNotice(
    `incident-${events[0]?.eventId}`,
    { kind: 'incident', events, clipId: null },
    events[0]?.startUtcMs ?? 0,
  ),
  ...more,
});

test.each([
  ['an event soon after', 50_000, true],
  ['one at the very end of the quiet time', 60_000, true],
  ['one later', 60_001, false],
  ['one that began before, told late', -60_000, true],
  ['one long before', -60_001, false],
])('%s joins: %s ms, %s', (_name, startUtcMs, joins) => {
  const known = notice([one()]);
  expect(incidentOf([known], { eventId: 'x', startUtcMs }, 60_000)).toBe(joins ? known : null);
});

test('while an event goes on, others join, but not without end', () => {
  const open = notice([one({ endUtcMs: null })]);
  expect(incidentOf([open], { eventId: 'x', startUtcMs: 600_000 }, 60_000)).toBe(open);
  expect(incidentOf([open], { eventId: 'x', startUtcMs: 900_000 }, 60_000)).toBeNull();
  // What is known stays where it is.
  expect(incidentOf([open], { eventId: 'e', startUtcMs: 900_000 }, 60_000)).toBe(open);
});

test('what was told by a digest does not grow', () => {
  const gone = notice([one()], { status: 'folded' });
  expect(incidentOf([gone], { eventId: 'x', startUtcMs: 1 }, 60_000)).toBeNull();
});

test('the picture is of the surest event that has one; belief that only grows is no news', () => {
  const [low, high] = [one({ eventId: 'low', stillPath: 'l.jpg' }), one({ eventId: 'high', score: 0.9 })];
  const incident = { kind: 'incident', events: [low, high], clipId: null } as const;
  expect(bestOf(incident)).toBe(low);
  expect(withEvent(incident, { ...high, score: 0.95 }, false)).toBe(incident);
  const pictured = withEvent(incident, { ...high, stillPath: 'h.jpg' }, true);
  expect(bestOf(pictured).eventId).toBe('high');
  // A better picture of another than the best changes nothing that is shown.
  expect(withEvent(pictured, low, true)).toBe(pictured);
});

test.each([
  ['nothing asked for', {}, true],
  ['its label', { labels: ['person'] }, true],
  ['another label', { labels: ['car'] }, false],
  ['its camera and zone', { cameras: ['porch'], zones: ['door', 'path'] }, true],
  ['another zone', { zones: ['path'] }, false],
  ['this arm mode', { armModes: ['away', 'night'] }, true],
  ['another arm mode', { armModes: ['home'] }, false],
] as const)('a route that asks for %s', (_name, asked, expected) => {
  const route = { labels: [], zones: [], cameras: [], armModes: [], hours: [], ...asked };
  const standing = { mode: 'away', isMuted: false, isWithin: () => true } as const;
  const event = one({ zones: ['door'] });
  expect(isTold(route, event, standing)).toBe(expected);
  expect(isTold(route, event, { ...standing, mode: 'disarmed' })).toBe(false);
  expect(isTold(route, { ...event, label: GATE_LABEL }, standing)).toBe(false);
  expect(isTold(route, event, { ...standing, isMuted: true })).toBe(false);
});

const anyNotice = fc
  .record({
    at: fc.integer({ min: 0, max: 86_400_000 }),
    maybeTold: fc.boolean(),
    camera: fc.constantFrom('a', 'b'),
  })
  .map(({ at, maybeTold, camera }) => ({ at, maybeTold, camera }));

test('whatever waits: all of it is told, each once, newest first, and the digest last', () => {
  const nowUtcMs = 86_400_000;
  const rules = { freshMs: 300_000, maxWaiting: 20, settleMs: 0, awaitsPreview: false, waitMs: () => 0 };
  fc.assert(
    fc.property(fc.array(anyNotice, { maxLength: 60 }), (list) => {
      let notices = list.map(({ at, maybeTold, camera }, i) =>
        notice([one({ eventId: `e${i}`, cameraId: camera, startUtcMs: at, endUtcMs: at })], { maybeTold }),
      );
      const told: Notice[] = [];
      for (let steps = 0; ; steps++) {
        expect(steps).toBeLessThan(200);
        const step = nextSend(notices, rules, nowUtcMs);
        if (step.kind === 'wait') break;
        const changed =
          step.kind === 'fold'
            ? folded(step.notices, notices, 'digest', nowUtcMs).notices
            : [{ ...step.notice, status: 'sent' as const }];
        if (step.kind === 'send') told.push(step.notice);
        const ids = new Set(changed.map(({ noticeId }) => noticeId));
        notices = [...notices.filter(({ noticeId }) => !ids.has(noticeId)), ...changed];
      }
      const events = told.flatMap(({ content }) =>
        content.kind === 'incident'
          ? content.events.length
          : Object.values(content.events).flatMap((labels) => Object.values(labels)),
      );
      expect(events.reduce((a, b) => a + b, 0)).toBe(list.length);
      const starts = told.flatMap(({ content }) =>
        content.kind === 'incident' ? content.events.map(({ startUtcMs }) => startUtcMs) : [],
      );
      expect(starts).toEqual(starts.toSorted((a, b) => b - a));
      const digestAt = told.findIndex(({ content }) => content.kind === 'digest');
      expect([-1, told.length - 1]).toContain(digestAt);
      if (list.length > 0) expect(starts[0]).toBe(Math.max(...list.map(({ at }) => at)));
    }),
  );
});

test('a digest counts by camera and label, also what another digest counted', () => {
  const first = digested(
    NOTHING,
    notice([one(), one({ eventId: 'f', label: 'cat', startUtcMs: 5, endUtcMs: 9 })]),
  );
  const both = digested(first, notice([], { content: first }));
  expect(both).toEqual({
    kind: 'digest',
    incidents: 2,
    startUtcMs: 0,
    endUtcMs: 9,
    events: { porch: { person: 2, cat: 2 } },
  });
});
