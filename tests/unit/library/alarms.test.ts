import { expect, test } from 'vitest';
import { CodedError, type ErrorCode } from '../../../device/contract/errors.ts';
import { AlarmBook } from '../../../device/library/alarms.ts';

const report = (code: ErrorCode, detail?: string) => new CodedError(code, detail).report();

function book() {
  let ms = 0;
  const alarms = new AlarmBook({ utcMs: () => 1_000_000 + ms, monotonicMs: () => ms });
  const codes = () => alarms.active().map(({ code, cameraId }) => (cameraId ? `${cameraId} ${code}` : code));
  return { alarms, codes, wait: (more: number) => (ms += more) };
}

test('a condition lasts as long as it is seen, keeps its beginning, and tells its latest message', () => {
  const { alarms, codes, wait } = book();
  alarms.observe([report('STORAGE_LOW', 'a little')]);
  wait(30_000);
  alarms.observe([report('STORAGE_LOW', 'a lot'), report('DISK_FULL')]);
  expect(codes()).toEqual(['STORAGE_LOW', 'DISK_FULL']);
  expect(alarms.active()[0]).toMatchObject({
    sinceUtcMs: 1_000_000,
    message: expect.stringContaining('a lot'),
  });
  expect(alarms.active()[1]).toMatchObject({ sinceUtcMs: 1_030_000 });
  alarms.observe([report('DISK_FULL')]);
  expect(codes()).toEqual(['DISK_FULL']);
  alarms.observe([]);
  expect(codes()).toEqual([]);
});

test('lost footage stays an alarm of its camera until a while after the last loss', () => {
  const { alarms, codes, wait } = book();
  expect(alarms.lost('porch', report('DISK_TOO_SLOW'))).toBe(true);
  wait(4 * 60_000);
  alarms.lost('porch', report('DISK_TOO_SLOW'));
  alarms.lost('garage', report('DISK_TOO_SLOW'));
  wait(4 * 60_000);
  alarms.observe([]);
  expect(codes()).toEqual(['porch DISK_TOO_SLOW', 'garage DISK_TOO_SLOW']);
  expect(alarms.active()[0]!.sinceUtcMs).toBe(1_000_000);
  wait(60_000);
  expect(codes()).toEqual([]);
});

test('a gap that the camera itself made is no alarm of the storage', () => {
  const { alarms, codes } = book();
  expect(alarms.lost('porch', report('CAMERA_STALLED'))).toBe(false);
  expect(codes()).toEqual([]);
});
