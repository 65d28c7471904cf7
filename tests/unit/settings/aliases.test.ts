import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OLD_KEYS, OLD_SECRETS, renameOldKeys, translateOldKeys } from '../../../device/settings/aliases.ts';
import { configJsonSchema, schemaAt, secretsJsonSchema } from '../../../device/settings/tree.ts';
import { configs } from './arbitrary.ts';
import { load, refusal } from './config-dir.ts';

/** What the original system shipped, with one camera. */
const ORIGINAL = `
camera: { camera_id: porch, rtsp_url: rtsp://camera.lan/live, usb_port: null, width: 1280, interval_seconds: 1.0 }
detection:
  interval: 2.0
  record_frames: 50
  confidence: 0.25
  model_path: config/yolov8n.pt
  class_filter: []
  motion_threshold: 5
  alert_labels: [person, car]
  alert_pipeline: { target_labels: [person], min_confidence: 0.35, cooldown_seconds: 30 }
  dedupe: { window_seconds: 2.0 }
  zoning: { enabled: false, zones: [] }
  notifications: { output_for_motion: text, gif: { fps: 15 } }
storage:
  path: recordings
  snap_subdir: snapshots
  retention_hours: 48
  aggressive_cleanup_hours: 12
  low_space_threshold_gb: 2.0
  artifact_globs: [snapshots/*.png]
analytics: { db_filename: events.db }
system:
  monitoring: { check_interval: 5.0 }
  logging: { log_level: INFO, log_format: plain }
  resilience: { enabled: false, scenarios: [], command_topic: dashboard.control.command }
  control_api: { host: 0.0.0.0, port: 8080, serve_api: true, tls: { enabled: false } }
dashboards:
  websocket_gateway: { host: 0.0.0.0, port: 8765, serve_http: true, buffer_size: 256 }
  modules: []
outputs:
  rate_limit: { max_events: 7, per_seconds: 60, key_field: camera_id }
  modules: []
`;

test('a configuration of the original system is accepted, and says of each old key what became of it', async () => {
  const { settings, warnings } = await load({ config: ORIGINAL });
  expect(settings).toMatchObject({
    cameras: [{ cameraId: 'porch', detection: { labels: ['person'], fps: 0.5 } }],
    storage: {
      headroomBytes: 2e9,
      retention: { continuous: { maxAgeMs: 48 * 3_600_000 }, event: { maxAgeMs: 48 * 3_600_000 } },
    },
    outputs: { rateLimit: { maxEvents: 7 } },
    controlApi: { port: 8080 },
    gateway: { port: 8765, bufferSize: 256 },
  });
  expect(settings.cameras[0]?.detection.filters).toEqual({});
  const about = (key: string): string => warnings.find((line) => line.includes(` ${key} `)) ?? '';
  expect(about('storage.retention_hours')).toMatch(
    /^CONFIG_KEY_RENAMED: .*config\.yaml:\d+: storage\.retention_hours is now storage\.retention\.continuous\.max_days and /,
  );
  expect(about('detection.alert_labels')).toContain('is now cameras.<id>.detection.labels, which wins');
  expect(about('detection.motion_threshold')).toMatch(/^CONFIG_KEY_RETIRED: .*sensitivity/);
  expect(about('cameras.porch.interval_seconds')).toContain('CONFIG_KEY_RETIRED');
});

test('what is no key of either stays refused, also beside old ones', async () => {
  const { code, message } = await refusal({ config: 'storage: { retention_hours: 3, retention_hour: 3 }' });
  expect([code, message]).toEqual([
    'CONFIG_INVALID',
    expect.stringContaining('storage.retention_hour unknown key'),
  ]);
  expect(await refusal({ config: 'system: { authentication: { setup_password: x } }' })).toMatchObject({
    code: 'CONFIG_INVALID',
  });
});

test('a value that does not fit is refused under the name of now', async () => {
  const { message } = await refusal({ config: 'storage: { retention_hours: long }' });
  expect(message).toContain('storage.retention.event.max_days is "long", must be a number');
});

test('the new key wins over the old one, and the environment over both', async () => {
  const config = 'rate_limit: { max_events: 3 }\noutputs: { rate_limit: { max_events: 4 } }';
  expect((await load({ config })).settings.outputs.rateLimit.maxEvents).toBe(4);
  const env = { SPYONCINO_OUTPUTS__RATE_LIMIT__MAX_EVENTS: '5' };
  expect((await load({ config }, { env })).settings.outputs.rateLimit.maxEvents).toBe(5);
});

test('the table: old keys are none of ours, what they lead to is', () => {
  const schema = configJsonSchema();
  const at = (name: string) =>
    schemaAt(
      schema,
      name.split('.').map((key) => (key === '*' ? 0 : key)),
    );
  for (const { from, to } of OLD_KEYS) {
    expect(at(from), from).toBeNull();
    for (const name of to) expect(at(name), name).not.toBeNull();
  }
});

test('the table of secrets: the same', () => {
  const places = { config: configJsonSchema(), secrets: secretsJsonSchema() };
  for (const { from, to, file } of OLD_SECRETS) {
    expect(schemaAt(places.secrets, from.split('.')), from).toBeNull();
    for (const name of to) expect(schemaAt(places[file], name.split('.')), name).not.toBeNull();
  }
});

test('a configuration without old keys stays what it is', () => {
  fc.assert(
    fc.property(configs, (config) => {
      const copy = structuredClone(config);
      expect(translateOldKeys(copy)).toEqual([]);
      expect(copy).toEqual(config);
      expect(renameOldKeys(config, {})).toEqual(config);
    }),
  );
});

test('a change under an old name is one under the new name, and takes the old key out of the file', () => {
  expect(renameOldKeys({ rate_limit: { max_events: 9 } }, {})).toEqual({
    outputs: { rate_limit: { max_events: 9 } },
  });
  expect(renameOldKeys({ rate_limit: { max_events: 9 } }, { rate_limit: { max_events: 3 } })).toEqual({
    rate_limit: { max_events: null },
    outputs: { rate_limit: { max_events: 9 } },
  });
});
