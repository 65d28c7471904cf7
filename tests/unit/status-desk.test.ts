import { expect, test } from 'vitest';
import { CodedError, type ErrorCode } from '../../device/contract/errors.ts';
import type { Module, ModuleHealth } from '../../device/contract/modules.ts';
import { STORAGE } from '../../device/modules.ts';
import { StatusDesk } from '../../device/status-desk.ts';
import { StepClock } from '../harness/step-clock.ts';
import { silent } from './library/rig.ts';

const module = (id: string, status: ModuleHealth['status'], ...codes: ErrorCode[]): Module => ({
  id,
  instance: id.startsWith('modules.input.') ? 'porch' : null,
  health: () => ({ status, reasons: codes.map((code) => new CodedError(code).report()), details: {} }),
});

const deskOf = (...modules: Module[]): StatusDesk =>
  new StatusDesk({
    modules: () => modules,
    broker: { statistics: () => expect.fail('nobody asks') },
    library: { lag: { waiting: 0, oldestUtcMs: null } },
    bus: { publish: () => {} },
    clock: new StepClock(0),
    log: silent,
  });

const camera = module('modules.input.usb_camera', 'healthy');

test.each<[ErrorCode, boolean]>([
  ['DISK_READ_ONLY', false],
  ['DISK_FULL', false],
  ['MEDIA_MISSING', false],
  ['INDEX_UNAVAILABLE', true],
])('with %s nothing is kept; a restart may help: %s', (code, helps) => {
  const desk = deskOf(camera, module(STORAGE, 'error', code));
  expect(desk.isReady).toBe(false);
  expect(desk.stuck()).toBe(helps ? 'footage cannot be kept' : null);
});

test('what follows from a full disk is not helped either', () => {
  const desk = deskOf(camera, module(STORAGE, 'error', 'DISK_FULL', 'INDEX_UNAVAILABLE'));
  expect([desk.isReady, desk.stuck()]).toEqual([false, null]);
});

test('who records is ready; with nothing but hosts that died it is neither ready nor alive', () => {
  const storage = module(STORAGE, 'healthy');
  const well = deskOf(camera, storage);
  expect([well.isReady, well.stuck()]).toEqual([true, null]);
  const dead = deskOf(module('modules.input.usb_camera', 'error', 'CAMERA_HOST_CRASHED'), storage);
  expect([dead.isReady, dead.stuck()]).toEqual([false, 'no camera works']);
});
