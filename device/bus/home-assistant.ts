/**
 * What Home Assistant is told about this device (its "MQTT discovery"): which entities there are, and on which of
 * our topics they live. Entities read the topics that everybody reads; switches publish ordinary commands.
 */
import type { CameraSettings } from '../contract/settings.ts';
import type { TopicName } from '../contract/topics.ts';
import { topicToMqtt } from './names.ts';

export interface HomeAssistantOptions {
  readonly nodeId: string;
  readonly version: string;
  readonly prefix: string;
  readonly cameras: readonly Pick<CameraSettings, 'cameraId' | 'name' | 'detection'>[];
  /** Ids of modules that can be switched, as in `status.health.summary`. */
  readonly modules: readonly string[];
  /** Camera entities, that show what `pictureTopic` carries. */
  readonly pictures: boolean;
  /** Before the path of a still; null: no entities that load it from there. */
  readonly stillsUrl: string | null;
}

export interface DiscoveryMessage {
  readonly topic: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

type Component = 'binary_sensor' | 'sensor' | 'switch' | 'image' | 'camera';

/** Carries the last still of a camera, as JPEG in base64. Beside its announcement, and gone with it. */
export const pictureTopic = (prefix: string, nodeId: string, cameraId: string): string =>
  `${prefix}/camera/${nodeId}/${idOf(`camera_${cameraId}_picture`)}/picture`;

/** Of the announcement that a picture belongs to. */
export const announcementOf = (topic: string): string => topic.replace(/\/picture$/, '/config');

/** Pure. All of them are to be retained; what is not among them any more is to be taken back. */
export function homeAssistantMessages(options: HomeAssistantOptions): readonly DiscoveryMessage[] {
  const { nodeId, version, prefix, cameras, modules, pictures, stillsUrl } = options;
  const at = (topic: TopicName | `${string}.+`): string => topicToMqtt(nodeId, topic);
  const availability = {
    availability_topic: at('status.availability'),
    availability_template: '{{ value_json.state }}',
  };
  const node = { identifiers: [`spyoncino_${nodeId}`], name: `Spyoncino ${nodeId}` };
  const entity = (
    component: Component,
    id: string,
    device: object,
    fields: Readonly<Record<string, unknown>>,
  ): DiscoveryMessage => {
    const unique = `spyoncino_${nodeId}_${idOf(id)}`;
    return {
      topic: `${prefix}/${component}/${nodeId}/${idOf(id)}/config`,
      payload: { unique_id: unique, object_id: unique, device, ...availability, ...fields },
    };
  };
  const commands = { command_topic: at('dashboard.control.command'), qos: 1, retain: false };
  const diagnostic = { entity_category: 'diagnostic' };

  const ofCamera = ({ cameraId, name, detection }: HomeAssistantOptions['cameras'][number]) => {
    const device = {
      identifiers: [`spyoncino_${nodeId}_${cameraId}`],
      name,
      model: 'Camera',
      via_device: node.identifiers[0],
    };
    const camera = (component: Component, id: string, fields: Readonly<Record<string, unknown>>) =>
      entity(component, `camera_${cameraId}_${id}`, device, fields);
    const onState = { state_topic: at(`status.camera.${cameraId}`) };
    const command = (enabled: boolean): string =>
      JSON.stringify({ command: 'camera.state', camera_id: cameraId, arguments: { enabled } });
    return [
      camera('binary_sensor', 'online', {
        name: 'Online',
        device_class: 'connectivity',
        ...diagnostic,
        ...onState,
        value_template: "{{ 'ON' if value_json.state == 'running' else 'OFF' }}",
      }),
      camera('switch', 'enabled', {
        name: 'Enabled',
        icon: 'mdi:cctv',
        ...commands,
        payload_on: command(true),
        payload_off: command(false),
        ...onState,
        value_template: "{{ 'OFF' if value_json.state == 'stopped' else 'ON' }}",
        state_on: 'ON',
        state_off: 'OFF',
      }),
      camera('binary_sensor', 'motion', {
        name: 'Motion',
        device_class: 'motion',
        state_topic: at('motion.+'),
        value_template: ofThis(cameraId, "{{ 'OFF' if value_json.end_ts is defined else 'ON' }}"),
      }),
      ...(detection.enabled ? detection.labels : []).map((label) =>
        camera('binary_sensor', `label_${label}`, {
          name: `${label[0]?.toUpperCase() ?? ''}${label.slice(1)}`,
          device_class: 'occupancy',
          state_topic: at('event.+'),
          value_template: ofThis(
            cameraId,
            "{{ 'OFF' if value_json.end_ts else 'ON' }}",
            ` and value_json.label == ${jinja(label)}`,
          ),
        }),
      ),
      ...(pictures
        ? [
            camera('camera', 'picture', {
              name: 'Picture',
              topic: pictureTopic(prefix, nodeId, cameraId),
              image_encoding: 'b64',
            }),
          ]
        : []),
      ...(stillsUrl === null
        ? []
        : [
            camera('image', 'still', {
              name: 'Last still',
              url_topic: at('event.+'),
              url_template: ofThis(
                cameraId,
                `{{ ${jinja(`${stillsUrl.replace(/\/$/, '')}/`)} ~ value_json.still }}`,
                ' and value_json.still',
              ),
            }),
          ]),
    ];
  };

  const device = { ...node, manufacturer: 'Spyoncino', model: 'Camera appliance', sw_version: version };
  const reading = (id: string, topic: TopicName, template: string, fields: Record<string, unknown>) =>
    entity('sensor', id, device, {
      ...diagnostic,
      state_topic: at(topic),
      value_template: template,
      ...fields,
    });
  return [
    reading('health', 'status.health.summary', '{{ value_json.status }}', {
      name: 'Health',
      device_class: 'enum',
      options: ['healthy', 'degraded', 'error'],
    }),
    reading('detector', 'status.detector', '{{ value_json.state }}', { name: 'Detector' }),
    reading('disk_used', 'storage.stats', '{{ value_json.usage_percent }}', {
      name: 'Disk used',
      unit_of_measurement: '%',
      state_class: 'measurement',
    }),
    reading('disk_free', 'storage.stats', '{{ value_json.free_gb }}', {
      name: 'Disk free',
      device_class: 'data_size',
      unit_of_measurement: 'GB',
      state_class: 'measurement',
    }),
    reading('bus_dropped', 'status.bus', '{{ value_json.dropped_total }}', {
      name: 'Messages dropped',
      state_class: 'total_increasing',
    }),
    entity('binary_sensor', 'storage_alarm', device, {
      name: 'Storage alarm',
      device_class: 'problem',
      ...diagnostic,
      state_topic: at('storage.alarm'),
      value_template: "{{ 'ON' if value_json.active else 'OFF' }}",
    }),
    ...modules.map((module) => {
      const command = (name: string): string => JSON.stringify({ command: name, module });
      return entity('switch', `module_${module}`, device, {
        name: module,
        icon: 'mdi:puzzle',
        entity_category: 'config',
        ...commands,
        payload_on: command('module.enable'),
        payload_off: command('module.disable'),
        state_topic: at('status.health.summary'),
        value_template: `{% set module = value_json.modules.get(${jinja(module)}) %}{% if module %}{{ 'OFF' if module.status == 'disabled' else 'ON' }}{% endif %}`,
        state_on: 'ON',
        state_off: 'OFF',
      });
    }),
    ...cameras.flatMap(ofCamera),
  ];
}

/** Messages of other cameras give nothing, which Home Assistant passes over. */
const ofThis = (cameraId: string, template: string, and = ''): string =>
  `{% if value_json.camera_id == ${jinja(cameraId)}${and} %}${template}{% endif %}`;

/** A text within a template. JSON escapes quotes and backslashes the way Jinja does. */
const jinja = (text: string): string => JSON.stringify(text);

/** What discovery topics and ids may hold. */
const idOf = (text: string): string => text.replaceAll(/[^a-zA-Z0-9_-]/g, '_');
