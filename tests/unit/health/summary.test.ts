import { expect, test } from 'vitest';
import { CodedError } from '../../../device/contract/errors.ts';
import type { Module, ModuleStatus } from '../../../device/contract/modules.ts';
import { summarise } from '../../../device/health/index.ts';

const reason = new CodedError('CAMERA_REFUSED').report();
const module = (id: string, instance: string | null, status: ModuleStatus, paused?: boolean): Module => ({
  id,
  instance,
  health: () => ({ status, reasons: status === 'error' ? [reason] : [], details: { clients: 2 } }),
  ...(paused === undefined ? {} : { pausing: { isPaused: paused, setPaused() {} } }),
});

test('cameras do not hide each other: the worst counts, each is told', () => {
  const { status, modules } = summarise([
    module('modules.input.rtsp_camera', 'porch', 'healthy'),
    module('modules.input.rtsp_camera', 'yard', 'error'),
    module('modules.dashboard.websocket_gateway', null, 'healthy'),
  ]);
  expect(status).toBe('error');
  expect(modules['modules.input.rtsp_camera']).toMatchObject({
    status: 'error',
    reasons: [reason],
    instances: { porch: { status: 'healthy' }, yard: { status: 'error' } },
  });
  expect(modules['modules.dashboard.websocket_gateway']).toMatchObject({ details: { clients: 2 } });
});

test('what somebody paused is disabled, and counts as fine; an error shows all the same', () => {
  expect(summarise([module('a', null, 'degraded', true), module('b', null, 'healthy')])).toMatchObject({
    status: 'healthy',
    modules: { a: { status: 'disabled' } },
  });
  expect(summarise([module('a', null, 'error', true)]).status).toBe('error');
  expect(summarise([module('a', null, 'healthy', true)]).status).toBe('healthy');
  expect(summarise([]).status).toBe('healthy');
});

test('a module that cannot say how it is does not silence the others', () => {
  const broken: Module = {
    id: 'broken',
    instance: null,
    health() {
      throw new Error('oops');
    },
  };
  expect(summarise([broken, module('b', null, 'healthy')])).toMatchObject({
    status: 'error',
    modules: { broken: { status: 'error', reasons: [{ code: 'MODULE_FAILED' }] }, b: { status: 'healthy' } },
  });
});
