import { expect, test } from 'vitest';
import { load, refusal } from './config-dir.ts';

test('all problems at once, each with file and line, what is there and what would be right', async () => {
  const { code, message } = await refusal(
    {
      config: `nod: {}
bus:
  prot: 1883
  port: 99999
cameras:
  - camera_id: porch
    rtsp_url: http://camera.lan
    fps: "3"
  - camera_id: porch
    recording: { buffer_mb: 3.5 }
  - 5
detection: { backend: onx }
`,
    },
    { env: { SPYONCINO_METRICS__PORT: 'many', SPYONCINO_METRICS__HOTS: 'x' } },
  );
  expect(code).toBe('CONFIG_INVALID');
  const lines = message.split('\n').slice(1);
  const line = (start: string): string => lines.find((text) => text.includes(start)) ?? '';
  expect(line(':1: nod ')).toContain('unknown key; did you mean node?');
  expect(line(':3: bus.prot')).toContain('unknown key; did you mean port?');
  expect(line(':4: bus.port')).toContain('is 99999, must be at most 65535');
  expect(line(':7: cameras.porch.rtsp_url')).toContain('must be an address like rtsp://host[:port]/path');
  expect(line(':8: cameras.porch.fps')).toContain('is "3", must be a number');
  expect(line(':10: cameras.porch.recording.buffer_mb')).toContain('is 3.5, must be a whole number');
  expect(line(':9: cameras.porch needs')).toContain(
    'exactly one of rtsp_url, usb_port, video_file, test_pattern',
  );
  expect(line(':11: cameras[2]')).toContain('is 5, must be a group of keys');
  expect(line(':5: cameras has')).toContain('the same camera_id twice');
  expect(line(':12: detection.backend')).toContain('did you mean onnx?');
  expect(line('SPYONCINO_METRICS__PORT: metrics.port')).toContain('is "many", must be a number');
  expect(line('SPYONCINO_METRICS__HOTS')).toContain('unknown key; did you mean host?');
  expect(lines).toHaveLength(12);
});

const camera = (keys: object): object => ({ cameras: [{ camera_id: 'a', ...keys }] });
const rtsp = { rtsp_url: 'rtsp://h/x' };

test.each([
  ['two sources', camera({ ...rtsp, usb_port: 0 }), 'exactly one of'],
  ['no source', camera({ test_pattern: false, rtsp_url: null }), 'exactly one of'],
  ['a sub stream of nothing', camera({ usb_port: 0, rtsp_sub_url: 'rtsp://h/x' }), 'needs rtsp_url as well'],
  [
    'a bad id',
    { cameras: [{ camera_id: 'Front Door', ...rtsp }] },
    'camera_id is "Front Door", must be 1 to 32',
  ],
  ['no id', { cameras: [rtsp] }, 'camera_id is missing'],
  ['a device elsewhere', camera({ usb_port: 'video0' }), 'a path below /dev/, or auto'],
  [
    'a flat mask',
    camera({
      ...rtsp,
      motion: {
        masks: [
          [
            [0, 0],
            [1, 1],
          ],
        ],
      },
    }),
    'at least 3 corners',
  ],
  ['a box inside out', camera({ ...rtsp, zones: [{ id: 'z', bounds: [0.5, 0, 0.1, 1] }] }), 'x1 < x2'],
  ['a zone without area', camera({ ...rtsp, zones: [{ id: 'z' }] }), 'needs either bounds or polygon'],
  [
    'pixels',
    camera({ ...rtsp, zones: [{ id: 'z', bounds: [0, 0, 640, 480] }] }),
    'is 640, must be at most 1',
  ],
  ['no labels', camera({ ...rtsp, detection: { labels: [] } }), 'must have at least 1 entry'],
  ['a sensitive key', camera({ ...rtsp, password: 'hunter2' }), 'secrets.yaml, as cameras.<id>.password'],
  ['a list on top', ['x'], 'must be a group of keys'],
  ['YAML 1.1 truth', camera({ ...rtsp, enabled: 'yes' }), 'is "yes", must be true or false'],
])('%s: refused', async (_, config, why) => {
  expect(await refusal({ config })).toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(why),
  });
});

test.each([
  'rtsp://admin:hunter2@camera.lan/live',
  'rtsp://admin@camera.lan/live',
  'rtsp://admin:hunter2/#@camera.lan/live',
  'http://admin:hunter2@camera.lan/live',
])('credentials in %s are refused, with advice, and not repeated', async (rtsp_url) => {
  const { message } = await refusal({ config: camera({ rtsp_url }) });
  expect(message).toContain('cameras.<id>.password in secrets.yaml');
  expect(message).not.toMatch(/hunter2|admin/);
});

test('secrets that others can read are refused', async () => {
  for (const secretsMode of [0o640, 0o604, 0o644]) {
    const refused = await refusal({ secrets: {}, secretsMode });
    expect(refused).toMatchObject({
      code: 'CONFIG_SECRETS_EXPOSED',
      message: expect.stringContaining('secrets.yaml'),
    });
  }
});

test('no secret is repeated in a complaint', async () => {
  const { code, message } = await refusal({
    secrets: { cameras: { porch: { password: 31_337, pasword: 'hunter2' } } },
  });
  expect(code).toBe('CONFIG_INVALID');
  expect(message).toMatch(/secrets\.yaml:3: cameras\.porch\.password must be text/);
  expect(message).toMatch(/secrets\.yaml:4: cameras\.porch\.pasword unknown key; did you mean password/);
  expect(message).not.toMatch(/31337|hunter2/);
});

test.each([
  ['bus: {port: 1', 1],
  ['bus:\n  port: 1\n  port: 2\n', 3],
  ['a: 1\n---\nb: 2\n', 2],
  ['bus:\n\tport: 1\n', 2],
])('%j is no YAML, and the line is named', async (config, line) => {
  const { code, message } = await refusal({ config });
  expect(code).toBe('CONFIG_UNREADABLE');
  expect(message).toContain(`config.yaml:${line}:`);
});

test('a camera may come from the environment alone', async () => {
  const { settings } = await load(
    {},
    {
      env: {
        SPYONCINO_CAMERAS__YARD__RTSP_URL: 'rtsp://h/x',
        SPYONCINO_CAMERAS__YARD__PASSWORD: '007',
        SPYONCINO_CAMERAS__YARD__RECORDING__PRE_SECONDS: '3',
        SPYONCINO_CAMERAS__YARD__NAME: '',
      },
    },
  );
  expect(settings.cameras).toMatchObject([
    { cameraId: 'yard', name: 'yard', source: { password: '007' }, recording: { preRollMs: 3000 } },
  ]);
});

test('cameras whose ids look the same in a variable are not mixed up', async () => {
  const cameras = ['a-b', 'a_b'].map((camera_id) => ({ camera_id, test_pattern: true }));
  const { message } = await refusal({ config: { cameras } }, { env: { SPYONCINO_CAMERAS__A_B__NAME: 'x' } });
  expect(message).toContain('SPYONCINO_CAMERAS__A_B__NAME fits several cameras');
});
