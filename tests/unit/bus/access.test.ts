import { expect, test } from 'vitest';
import { maySubscribe, requestOn } from '../../../device/bus/access.ts';
import { ROLES } from '../../../device/contract/access.ts';
import { TOPICS } from '../../../device/contract/topics.ts';
import { topicToMqtt } from '../../../device/bus/index.ts';

test.each(['spyoncino/attic/#', 'spyoncino/attic/event/new', 'spyoncino/+/event/+', 'spyoncino/#'])(
  'whoever was let in may read %s',
  (filter) => {
    for (const role of ROLES) expect(maySubscribe(role, 'attic', filter, null)).toBe(true);
  },
);

test.each([
  '#',
  '+/attic/#',
  '+/+/event/new',
  '$SYS/#',
  '$SYS/+/new/clients',
  '$requests/#',
  'spyoncino',
  'spyoncino/attic',
  'spyoncino/+',
  'spyoncino/cellar/#',
  'spyoncino/#/event',
  'spyoncinos/attic/#',
  'homeassistant/#',
  '/spyoncino/attic/#',
])('nobody may read %s', (filter) => {
  for (const role of ROLES) expect(maySubscribe(role, 'attic', filter, null)).toBe(false);
});

test('counters are for admins; what Home Assistant is told is for everybody', () => {
  const readers = (filter: string) => ROLES.filter((role) => maySubscribe(role, 'attic', filter, 'ha'));
  expect(readers('$SYS/broker/#')).toEqual(['admin']);
  expect(readers('ha/#')).toEqual([...ROLES]);
});

test('a role may publish on what the table lets it ask for, and on nothing else', () => {
  const open = (role: (typeof ROLES)[number]) =>
    Object.keys(TOPICS).filter((topic) => requestOn(role, 'attic', topicToMqtt('attic', topic)) !== null);
  expect(open('viewer')).toEqual(['dashboard.control.command']);
  expect(open('operator')).toEqual(['dashboard.control.command']);
  expect(open('admin')).toEqual(['config.update', 'config.rollback', 'dashboard.control.command']);
});

test.each([
  'spyoncino/cellar/dashboard/control/command',
  'dashboard/control/command',
  'spyoncino/attic/toString',
  'spyoncino/attic',
  '$requests/config.update',
  '',
])('an admin may not publish on %s', (topic) => {
  expect(requestOn('admin', 'attic', topic)).toBeNull();
});
