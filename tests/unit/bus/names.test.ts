import fc from 'fast-check';
import { expect, test } from 'vitest';
import { globToFilter, matches, mqttToTopic, topicToMqtt } from '../../../device/bus/index.ts';

const segment = fc.stringMatching(/^[a-z0-9_-]{1,6}$/);
const topic = fc.array(segment, { minLength: 1, maxLength: 5 }).map((segments) => segments.join('.'));
const glob = fc
  .array(fc.oneof(segment, fc.constantFrom('*', '**')), { minLength: 1, maxLength: 5 })
  .map((segments) => segments.join('.'));

/** MQTT 3.1.1 §4.7: what a broker lets through. */
function brokerLets(filter: string, mqttTopic: string): boolean {
  const wanted = filter.split('/');
  const levels = mqttTopic.split('/');
  for (const [at, level] of wanted.entries()) {
    if (level === '#') return levels.length >= at;
    if (at >= levels.length || (level !== '+' && level !== levels[at])) return false;
  }
  return wanted.length === levels.length;
}

test('a dotted name survives the way over MQTT', () => {
  fc.assert(
    fc.property(segment, topic, (node, name) => {
      expect(mqttToTopic(node, topicToMqtt(node, name))).toBe(name);
      expect(mqttToTopic(null, topicToMqtt(node, name))).toBe(name);
    }),
  );
});

test.each([
  ['attic', 'spyoncino/cellar/event/new'],
  ['attic', 'other/attic/event/new'],
  ['attic', 'spyoncino/attic'],
  [null, '$SYS/broker/uptime'],
])('node %s has no topic %s', (node, mqttTopic) => {
  expect(mqttToTopic(node, mqttTopic)).toBeNull();
});

test.each([
  ['event.new', 'event.new', true],
  ['event.new', 'event.newer', false],
  ['event.new', 'event', false],
  ['event', 'event.new', false],
  ['status.*', 'status.bus', true],
  ['status.*', 'status.camera.porch', true],
  ['status.*', 'status', false],
  ['*', 'event.new', true],
  ['*.new', 'event.new', true],
  ['*.new', 'some.event.new', false],
  ['status.*.porch', 'status.camera.porch', true],
  ['status.*.porch', 'status.camera.front.porch', false],
  ['**.porch', 'status.camera.porch', true],
  ['**.porch', 'porch', false],
  ['status.**', 'status.camera.porch', true],
  ['status.**', 'status', false],
])('%s fits %s: %s', (glob, name, expected) => {
  expect(matches(glob, name)).toBe(expected);
});

test('the filter of a glob lets everything through that the glob fits', () => {
  fc.assert(
    fc.property(glob, topic, segment, (wanted, name, node) => {
      fc.pre(matches(wanted, name));
      const mqttTopic = topicToMqtt(node, name);
      expect(brokerLets(globToFilter(wanted), mqttTopic)).toBe(true);
      expect(brokerLets(globToFilter(wanted, node), mqttTopic)).toBe(true);
      expect(brokerLets(globToFilter(wanted, `${node}x`), mqttTopic)).toBe(false);
    }),
  );
});

test.each(['', '.', 'event.', 'event..new', 'ev*', 'event/new', 'event.+', 'event.#', 'event new'])(
  '"%s" is refused as a glob',
  (bad) => {
    expect(() => matches(bad, 'event.new')).toThrow(expect.objectContaining({ code: 'USAGE' }));
    expect(() => globToFilter(bad)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  },
);
