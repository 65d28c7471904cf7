import { expect, test } from 'vitest';
import { filterTakes, topicToMqtt } from '../../../device/bus/names.ts';
import {
  announcementOf,
  homeAssistantMessages,
  pictureTopic,
  type HomeAssistantOptions,
} from '../../../device/bus/home-assistant.ts';
import { commandRequest, COMMANDS, type CommandName } from '../../../device/contract/commands.ts';
import { TOPICS } from '../../../device/contract/topics.ts';
import { defaultSettings } from '../../../device/settings/index.ts';

const cameras = (...ids: string[]) =>
  defaultSettings(
    '/data',
    ids.map((camera_id) => ({
      camera_id,
      test_pattern: true,
      detection: { labels: ['person', 'traffic light'] },
    })),
  ).cameras;

const messagesOf = (options: Partial<HomeAssistantOptions> = {}) =>
  homeAssistantMessages({
    nodeId: 'attic',
    version: '1.2.3',
    prefix: 'homeassistant',
    cameras: cameras('porch', 'front-door'),
    modules: ['modules.output.telegram_notifier'],
    pictures: true,
    stillsUrl: 'https://attic.lan:8443/media/',
    ...options,
  });

test('every entity has a place of its own, an id, a device, and goes when the node goes', () => {
  const messages = messagesOf();
  expect(new Set(messages.map(({ topic }) => topic)).size).toBe(messages.length);
  expect(new Set(messages.map(({ payload }) => payload['unique_id'])).size).toBe(messages.length);
  for (const { topic, payload } of messages) {
    expect(topic).toMatch(
      /^homeassistant\/(binary_sensor|sensor|switch|image|camera)\/attic\/[a-zA-Z0-9_-]+\/config$/,
    );
    expect(payload).toMatchObject({
      device: { identifiers: [expect.stringMatching(/^spyoncino_attic/)] },
      availability_topic: 'spyoncino/attic/status/availability',
      availability_template: '{{ value_json.state }}',
    });
  }
});

test('every topic that is read is one of ours', () => {
  const ours = Object.keys(TOPICS).map((name) => topicToMqtt('attic', name.replace('*', 'porch')));
  const read = messagesOf({ cameras: cameras('porch') }).flatMap(({ payload }) =>
    ['state_topic', 'url_topic', 'command_topic', 'availability_topic'].flatMap(
      (key) => (payload[key] as string | undefined) ?? [],
    ),
  );
  expect(read.length).toBeGreaterThan(10);
  for (const filter of read) {
    expect(
      ours.some((topic) => filterTakes(filter, topic)),
      filter,
    ).toBe(true);
  }
});

test('what a switch publishes is a command that the agent takes', () => {
  const switches = messagesOf().filter(({ topic }) => topic.includes('/switch/'));
  const commands = switches.flatMap(({ payload }) => [payload['payload_on'], payload['payload_off']]);
  expect(commands).toHaveLength(6);
  for (const text of commands) {
    const { command, arguments: given = {} } = commandRequest.parse(JSON.parse(text as string));
    COMMANDS[command as CommandName].arguments.parse(given);
  }
});

test('a camera has one sensor per label, and none where nothing is looked for', () => {
  const ids = (options: Partial<HomeAssistantOptions>) =>
    messagesOf(options).flatMap(({ topic }) => /camera_porch_(\w+)/.exec(topic)?.[1] ?? []);
  const [porch] = cameras('porch');
  expect(ids({})).toEqual([
    'online',
    'enabled',
    'motion',
    'label_person',
    'label_traffic_light',
    'picture',
    'still',
  ]);
  const blind = { ...porch!, detection: { ...porch!.detection, enabled: false } };
  expect(ids({ cameras: [blind], pictures: false, stillsUrl: null })).toEqual([
    'online',
    'enabled',
    'motion',
  ]);
});

test('a camera shows what is on the topic beside its announcement, which is not one', () => {
  const shown = messagesOf({ cameras: cameras('front-door') }).find(({ topic }) =>
    topic.includes('/camera/'),
  );
  const topic = pictureTopic('homeassistant', 'attic', 'front-door');
  expect(shown).toMatchObject({ topic: announcementOf(topic), payload: { topic, image_encoding: 'b64' } });
  expect(topic).not.toMatch(/\/config$/);
});

test('stills by address are addresses, never pixels', () => {
  const image = messagesOf().find(({ topic }) => topic.includes('/image/'));
  expect(image?.payload['url_template']).toBe(
    '{% if value_json.camera_id == "porch" and value_json.still %}{{ "https://attic.lan:8443/media/" ~ value_json.still }}{% endif %}',
  );
  expect(image?.payload).not.toHaveProperty('image_topic');
});
