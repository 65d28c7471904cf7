import { join } from 'node:path';
import { expect, test } from 'vitest';
import { defaultSettings, loadSettings } from '../../../device/settings/index.ts';
import { configDir, load, refusal } from './config-dir.ts';

const porch = { camera_id: 'porch', rtsp_url: 'rtsp://camera.lan/live' };

test('without any files everything has its default and there is no camera', async () => {
  const { settings, sources, warnings } = await load({});
  expect(settings).toMatchObject({
    dataDir: '/data',
    logLevel: 'info',
    cameras: [],
    bus: { host: '127.0.0.1', port: 1883 },
    metrics: { host: '127.0.0.1', port: 9093 },
    detection: { backend: 'auto', workers: 0 },
  });
  expect(settings.nodeId).toMatch(/^[a-z0-9][a-z0-9_-]*$/);
  expect([sources, warnings]).toEqual([[], []]);
  expect(settings).toEqual(defaultSettings('/data'));
});

test.each(['', '# nothing yet\n', '---\n'])(
  'a file that says nothing (%j) changes nothing',
  async (config) => {
    expect((await load({ config })).settings).toEqual(defaultSettings('/data'));
  },
);

test('a file that was asked for must be there', async () => {
  expect(await refusal({}, { required: true })).toMatchObject({ code: 'CONFIG_UNREADABLE' });
});

test('the shipped files are valid, and need no hardware', async () => {
  const { settings } = await loadSettings({ configDir: 'config', dataDir: '/data', env: {}, required: true });
  expect(settings.cameras).toEqual([]);
});

test('nobody can change the settings afterwards', async () => {
  const { settings } = await load({
    config: { cameras: [{ ...porch, zones: [{ id: 'a', bounds: [0, 0, 1, 1] }] }] },
  });
  const unfrozen = (value: unknown): boolean =>
    typeof value === 'object' &&
    value !== null &&
    (!Object.isFrozen(value) || Object.values(value).some((child) => unfrozen(child)));
  expect(unfrozen(settings)).toBe(false);
});

test('all sources of a camera', async () => {
  await using dir = await configDir({
    config: {
      cameras: [
        { ...porch, rtsp_sub_url: 'rtsp://camera.lan/sub', username: 'eve', audio: false },
        { camera_id: 'usb', usb_port: 2, width: 640 },
        { camera_id: 'path', usb_port: '/dev/v4l/by-id/x', rtsp_url: null },
        { camera_id: 'any', usb_port: 'auto' },
        { camera_id: 'film', video_file: 'clips/a.mp4', video_loop: false },
        { camera_id: 'bars', test_pattern: true, fps: 5 },
      ],
    },
    secrets: { cameras: { porch: { password: 'pa:ss@word' } } },
  });
  const { settings } = await loadSettings({ configDir: dir.path, dataDir: '/data', env: {} });
  expect(settings.cameras.map(({ source }) => source)).toEqual([
    {
      kind: 'rtsp',
      mainUrl: porch.rtsp_url,
      subUrl: 'rtsp://camera.lan/sub',
      transport: 'tcp',
      username: 'eve',
      password: 'pa:ss@word',
      audio: false,
    },
    { kind: 'v4l2', device: '/dev/video2', width: 640, height: null, fps: null },
    { kind: 'v4l2', device: '/dev/v4l/by-id/x', width: null, height: null, fps: null },
    { kind: 'v4l2', device: 'auto', width: null, height: null, fps: null },
    { kind: 'file', path: join(dir.path, 'clips/a.mp4'), loop: false, paced: true },
    { kind: 'pattern', width: 640, height: 360, fps: 5 },
  ]);
});

test('zones, filters and recording take the units of the pipeline', async () => {
  const { settings } = await load({
    config: {
      cameras: [
        {
          ...porch,
          detection: { min_score: 0.6, filters: { cat: { max_area: 0.1 }, dog: { min_score: 0.9 } } },
          zones: [{ id: 'path', bounds: [0.1, 0.2, 0.3, 0.4], labels: ['cat'] }],
          recording: { pre_seconds: 1.5, post_seconds: 2, max_clip_seconds: 60, buffer_mb: 8 },
        },
      ],
    },
  });
  expect(settings.cameras[0]).toMatchObject({
    name: 'porch',
    detection: {
      defaultFilter: { minScore: 0.6, minArea: 0, maxArea: 1 },
      filters: {
        cat: { minScore: 0.6, minArea: 0, maxArea: 0.1 },
        dog: { minScore: 0.9, minArea: 0, maxArea: 1 },
      },
    },
    zones: [
      {
        id: 'path',
        name: 'path',
        action: 'include',
        labels: ['cat'],
        area: [
          [0.1, 0.2],
          [0.3, 0.2],
          [0.3, 0.4],
          [0.1, 0.4],
        ],
      },
    ],
    recording: { preRollMs: 1500, postRollMs: 2000, maxClipMs: 60_000, bufferBytes: 8_000_000 },
  });
});

test('given cameras replace the configured ones, fallbacks only stand in for none', async () => {
  const idsOf = async (...args: Parameters<typeof load>): Promise<string[]> =>
    (await load(...args)).settings.cameras.map(({ cameraId }) => cameraId);
  const given = [{ camera_id: 'given', test_pattern: true }];
  expect(await idsOf({ config: { cameras: [porch] } }, { cameras: given })).toEqual(['given']);
  expect(await idsOf({ config: { cameras: [porch] } }, { fallbackCameras: given })).toEqual(['porch']);
  expect(await idsOf({}, { fallbackCameras: given })).toEqual(['given']);
});

test('only the cameras of one kind, and fallbacks where there are none of it', async () => {
  const all = [porch, { camera_id: 'first', usb_port: 0 }, { camera_id: 'moving', test_pattern: true }];
  const idsOf = async (camerasWith: 'rtsp_url' | 'usb_port', cameras: object[] = all): Promise<string[]> => {
    const fallbackCameras = [{ camera_id: 'given', test_pattern: true }];
    const { settings } = await load({ config: { cameras } }, { camerasWith, fallbackCameras });
    return settings.cameras.map(({ cameraId }) => cameraId);
  };
  expect(await idsOf('usb_port')).toEqual(['first']);
  expect(await idsOf('rtsp_url')).toEqual(['porch']);
  expect(await idsOf('usb_port', [porch])).toEqual(['given']);
});

test('log levels by any name, the command line last', async () => {
  const levelOf = async (config: unknown, logLevel?: string): Promise<string> =>
    (await load({ config }, logLevel === undefined ? {} : { logLevel })).settings.logLevel;
  const warning = { system: { logging: { log_level: 'WARNING' } } };
  expect(await levelOf(warning)).toBe('warn');
  expect(await levelOf({ system: { logging: { log_level: 'CRITICAL' } } })).toBe('fatal');
  expect(await levelOf(warning, 'trace')).toBe('trace');
});

test('storage.path starts at the configuration', async () => {
  await using dir = await configDir({ config: { storage: { path: 'footage' } } });
  const { settings } = await loadSettings({ configDir: dir.path, dataDir: '/data', env: {} });
  expect(settings.dataDir).toBe(join(dir.path, 'footage'));
});

test('a data directory that was asked for wins over storage.path, wherever that is written', async () => {
  await using dir = await configDir({ config: { storage: { path: 'footage' } } });
  const env = { SPYONCINO_STORAGE__PATH: '/elsewhere' };
  const options = { configDir: dir.path, dataDir: '/asked', env };
  expect((await loadSettings({ ...options, dataDirAsked: true })).settings.dataDir).toBe('/asked');
  expect((await loadSettings(options)).settings.dataDir).toBe('/elsewhere');
});

test('sources are named, weakest first', async () => {
  await using dir = await configDir({ config: { cameras: [porch] }, secrets: {} });
  const { sources } = await loadSettings({
    configDir: dir.path,
    dataDir: '/data',
    env: { SPYONCINO_BUS__PORT: '0' },
  });
  expect(sources).toEqual([join(dir.path, 'config.yaml'), join(dir.path, 'secrets.yaml'), 'environment']);
});

test('what has no effect is said', async () => {
  const { warnings } = await load(
    {
      config: {
        cameras: [
          { ...porch, width: 640 },
          { camera_id: 'usb', usb_port: 0, username: 'x' },
        ],
        bus: { host: '0.0.0.0' },
      },
      secrets: { cameras: { proch: { password: 'x' } } },
    },
    { env: { SPYONCINO_METRIC__PORT: '1', SPYONCINO_PRESET: 'usb', SPYONCINO_DATA_DIR: '/x' } },
  );
  expect(warnings).toEqual([
    expect.stringMatching(/SPYONCINO_METRIC__PORT is ignored.*SPYONCINO_METRICS__/),
    expect.stringContaining('cameras.porch.width has no effect'),
    expect.stringContaining('cameras.usb.username has no effect'),
    expect.stringMatching(/"proch" are not used.*did you mean porch/),
    expect.stringContaining('bus.host is 0.0.0.0'),
  ]);
});

test('who is told: what channels need comes from secrets.yaml or the environment, limits from one place', async () => {
  const { settings } = await load(
    {
      config: {
        outputs: {
          rate_limit: { max_events: 9 },
          arm_schedule: [{ days: ['mon'], at: 'sunset-30', mode: 'night' }],
          telegram: { enabled: true, only: { hours: [{ from: '22:15', to: 'sunrise' }] } },
          webhook: { rate_limit: { max_events: 1, per_seconds: 2 } },
        },
      },
      secrets: { telegram: { token: 'in-the-file', chat_id: [1, '-100'] } },
    },
    {
      env: {
        SPYONCINO_TELEGRAM__TOKEN: '1:of-the-environment',
        SPYONCINO_WEBHOOK__URL: 'https://hook.lan/x',
      },
    },
  );
  expect(settings.outputs.notify).toMatchObject({
    armSwitches: [{ days: ['mon'], at: { from: 'sunset', minutes: -30 }, mode: 'night' }],
    telegram: {
      enabled: true,
      token: '1:of-the-environment',
      chatIds: ['1', '-100'],
      rateLimit: { maxEvents: 9, perMs: 60_000 },
      route: {
        hours: [{ from: { from: 'midnight', minutes: 1335 }, to: { from: 'sunrise', minutes: 0 } }],
      },
    },
    webhook: { enabled: false, url: 'https://hook.lan/x', rateLimit: { maxEvents: 1, perMs: 2000 } },
  });
});

test('flags win over what the configuration says of channels', async () => {
  const { settings } = await load(
    { config: { outputs: { telegram: { enabled: true, bot: { enabled: true } } } } },
    { outputs: { telegram: false, bot: false, webhook: true } },
  );
  const { bot, telegram, webhook, email } = settings.outputs.notify;
  expect([bot, telegram, webhook, email].map(({ enabled }) => enabled)).toEqual([false, false, true, false]);
});
