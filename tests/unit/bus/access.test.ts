import { expect, test } from 'vitest';
import { mayPublish, maySubscribe } from '../../../device/bus/access.ts';

test.each(['spyoncino/attic/#', 'spyoncino/attic/event/new', 'spyoncino/+/event/+', 'spyoncino/#'])(
  'a client may read %s',
  (filter) => {
    expect(maySubscribe('attic', filter)).toBe(true);
  },
);

test.each([
  '#',
  '+/attic/#',
  '+/+/event/new',
  '$SYS/#',
  '$SYS/+/new/clients',
  'spyoncino',
  'spyoncino/attic',
  'spyoncino/+',
  'spyoncino/cellar/#',
  'spyoncino/#/event',
  'spyoncinos/attic/#',
  '/spyoncino/attic/#',
])('a client may not read %s', (filter) => {
  expect(maySubscribe('attic', filter)).toBe(false);
});

test('a client may publish nothing', () => {
  expect(mayPublish()).toBe(false);
});
