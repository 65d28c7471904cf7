import { expect, test } from 'vitest';
import { CodedError, type ErrorCode } from '../../device/contract/errors.ts';
import { modulesOf, type ModulesOptions } from '../../device/modules.ts';

const report = (code: ErrorCode) => new CodedError(code).report();

/** Of an agent without cameras whose detector works, and whose storage and index have these troubles. */
function healthOf(id: string, alarms: readonly ErrorCode[], troubles: readonly ErrorCode[] = []) {
  const working = { state: 'running', info: { modelId: 'm', backend: 'onnx' }, reason: null };
  const options = {
    cameras: { slots: [] },
    detector: { part: { state: working }, isPaused: false },
    storage: { alarms: alarms.map(report), details: {}, isPaused: false },
    library: { troubles: troubles.map(report), lag: { waiting: 0, oldestUtcMs: null } },
    others: [],
  } as unknown as ModulesOptions;
  return modulesOf(options)
    .find((module) => module.id === id)!
    .health();
}

test('a disk that is only getting full or slow is degraded; one that keeps nothing any more is an error', () => {
  const storage = (...alarms: ErrorCode[]) => healthOf('modules.storage.retention', alarms);
  expect(storage()).toEqual({ status: 'healthy', reasons: [], details: {} });
  expect(storage('STORAGE_LOW', 'DISK_TOO_SLOW')).toMatchObject({ status: 'degraded' });
  expect(storage('STORAGE_LOW', 'DISK_FULL')).toMatchObject({
    status: 'error',
    reasons: [{ code: 'STORAGE_LOW' }, { code: 'DISK_FULL' }],
  });
});

test('an index that is not to be had is an error, and nobody else’s', () => {
  const index = healthOf('modules.analytics.db_logger', [], ['INDEX_UNAVAILABLE']);
  expect(index).toMatchObject({ status: 'error', reasons: [{ code: 'INDEX_UNAVAILABLE' }] });
  expect(healthOf('modules.process.yolo_detector', ['DISK_FULL'], ['INDEX_UNAVAILABLE'])).toMatchObject({
    status: 'healthy',
  });
});
