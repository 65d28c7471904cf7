import fc from 'fast-check';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { makePicture } from '../../../device/kernel/pictures.ts';
import { countsChart, niceCeiling } from '../../../device/notify/charts/counts.ts';
import { marksOf } from '../../../device/notify/charts/hours-axis.ts';
import { fitted, widthOf } from '../../../device/notify/charts/lettering.ts';
import { timelineChart } from '../../../device/notify/charts/timeline.ts';

const HOUR_MS = 3_600_000;
const signal = new AbortController().signal;

test('words are cut to the room there is, whatever they are made of', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', minLength: 3 }),
      fc.integer({ min: 60, max: 900 }),
      (text, width) => {
        const shown = fitted(text, 30, width);
        expect(widthOf(shown, 30)).toBeLessThanOrEqual(width);
        if (widthOf(text, 30) <= width) expect(shown).toBe(text);
      },
    ),
  );
});

test('an axis ends above the highest bar, and its middle is a whole number', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e6 }), (value) => {
      const ceiling = niceCeiling(value);
      expect(ceiling).toBeGreaterThanOrEqual(value);
      expect(Number.isInteger(ceiling / 2)).toBe(true);
      if (value > 2) expect(ceiling).toBeLessThan(value * 2 + 2);
    }),
  );
});

test('the hours are those of the place, few enough to be read, also over a change of clocks', () => {
  const zones = ['UTC', 'Europe/Rome', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/St_Johns'];
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) }),
      fc.integer({ min: 1, max: 168 }),
      (timeZone, startUtcMs, hours) => {
        const endUtcMs = startUtcMs + hours * HOUR_MS;
        const marks = marksOf({ startUtcMs, endUtcMs, timeZone });
        expect(marks.length).toBeLessThanOrEqual(10);
        expect(marks.every(({ utcMs }) => utcMs >= startUtcMs && utcMs < endUtcMs)).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
  const rome = { startUtcMs: Date.UTC(2026, 2, 28, 12), endUtcMs: Date.UTC(2026, 2, 29, 12) };
  expect(marksOf({ ...rome, timeZone: 'Europe/Rome' }).map(({ text }) => text)).toEqual([
    ...['15:00', '18:00', '21:00', 'Sun 29', '03:00', '06:00', '09:00', '12:00'],
  ]);
});

test('events of any kind and number become a picture of a phone’s width, no words lost to missing fonts', async () => {
  const end_ts = Date.UTC(2026, 2, 2, 13, 20);
  const start_ts = end_ts - 24 * HOUR_MS;
  const labels = ['person', 'car', 'cat', 'dog', 'bus', 'bird', 'sheep', 'horse', '<&>'];
  const events = labels.map((label, at) => ({
    ...{ start_ts: start_ts + at * HOUR_MS, label },
    end_ts: at === 8 ? null : start_ts + at * HOUR_MS + 60_000,
  }));
  const cameras = Array.from({ length: 14 }, (_, at) => ({
    camera_id: `a-camera-with-a-name-that-is-far-too-long-for-any-phone-${at}`,
    coverage: [{ start_ts, end_ts }],
    gaps: [{ start_ts: start_ts + HOUR_MS, end_ts: start_ts + 2 * HOUR_MS }],
    events,
  }));
  const by_type = Object.fromEntries(labels.map((label) => [label, 1]));
  const charts = [
    timelineChart({ start_ts, end_ts, cameras }, 'Europe/Rome'),
    timelineChart({ start_ts, end_ts, cameras: [] }, null),
    countsChart(
      {
        ...{ start_ts, end_ts, by_hour: [{ start_ts, by_type }] },
        stats: { total_events: 9, by_type, by_camera: { porch: 9 } },
      },
      'UTC',
    ),
    countsChart(
      { start_ts, end_ts, by_hour: [], stats: { total_events: 0, by_type: {}, by_camera: {} } },
      null,
    ),
  ];
  for (const svg of charts) {
    expect(svg).not.toMatch(/<text|NaN|undefined|font/);
    const png = await makePicture({ kind: 'svg' }, Buffer.from(svg), signal);
    const { format, width, height } = await sharp(png).metadata();
    expect({ format, width }).toEqual({ format: 'png', width: 1080 });
    expect(height).toBeLessThan(2200);
    // The heading is there, drawn.
    const { channels } = await sharp(png).extract({ left: 48, top: 40, width: 300, height: 60 }).stats();
    expect(channels[0]?.max).toBeGreaterThan(200);
  }
});

test('what is no picture is refused with a reason, and nothing outlives the one who asked', async () => {
  await expect(makePicture({ kind: 'svg' }, Buffer.from('no picture'), signal)).rejects.toThrow(
    'no picture was made',
  );
  const gone = new AbortController();
  const made = makePicture({ kind: 'svg' }, Buffer.from('<svg/>'), gone.signal);
  gone.abort();
  await expect(made).rejects.toThrow();
});

test('an animation fits the bytes it may have: fewer colours first, then fewer pictures, then none', async () => {
  const [width, height, number] = [160, 90, 8];
  const noise = Buffer.from(
    Array.from({ length: width * height * 3 * number }, (_, at) => (at * 2_654_435_761) >>> 24),
  );
  const job = { kind: 'animation', width, height, delayMs: 400 } as const;
  const free = await makePicture({ ...job, maxBytes: 1e6 }, noise, signal);
  expect(await sharp(free, { animated: true }).metadata()).toMatchObject({
    ...{ format: 'gif', pages: number, pageHeight: height, loop: 0 },
  });
  const tight = await makePicture({ ...job, maxBytes: free.byteLength - 1 }, noise, signal);
  expect(tight.byteLength).toBeLessThan(free.byteLength);
  await expect(makePicture({ ...job, maxBytes: 500 }, noise, signal)).rejects.toThrow('whatever is left out');
});
