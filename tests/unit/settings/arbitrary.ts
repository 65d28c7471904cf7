/** Configurations that people could write: any mixture of keys that is allowed. */
import fc from 'fast-check';
import type { CameraInput, ConfigInput } from '../../../device/settings/index.ts';

const fraction = fc.integer({ min: 0, max: 1000 }).map((thousandths) => thousandths / 1000);
const id = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,8}$/);
const words = fc.stringMatching(/^[A-Za-z][A-Za-z0-9 :#'"-]{0,12}[a-z]$/);
const port = fc.integer({ min: 0, max: 65_535 });
const some = <T extends Record<string, fc.Arbitrary<unknown>>>(model: T) =>
  fc.record(model, { requiredKeys: [] });

const polygon = fc.array(fc.tuple(fraction, fraction), { minLength: 3, maxLength: 6 });
const bounds = fc
  .tuple(fraction, fraction, fraction, fraction)
  .filter(([x1, y1, x2, y2]) => x1 < x2 && y1 < y2);

const zone = fc
  .tuple(
    fc.record({ id }),
    fc.oneof(fc.record({ bounds }), fc.record({ polygon })),
    some({
      name: words,
      labels: fc.array(words, { maxLength: 3 }),
      action: fc.constantFrom('include' as const, 'exclude' as const, 'observe' as const),
    }),
  )
  .map(([named, area, rest]) => Object.assign(named, area, rest));

const source = fc.oneof(
  fc.record(
    {
      rtsp_url: fc.constantFrom(
        'rtsp://camera.lan/live',
        'rtsps://192.0.2.7:322/a?b=c',
        'rtsp://[2001:db8::1]/x',
      ),
      rtsp_sub_url: fc.constant('rtsp://camera.lan/sub'),
      rtsp_transport: fc.constantFrom('tcp' as const, 'udp' as const),
      username: words,
      audio: fc.boolean(),
    },
    { requiredKeys: ['rtsp_url'] },
  ),
  fc.record({ usb_port: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom('auto', '/dev/video2')) }),
  fc.record({ video_file: words, video_loop: fc.boolean() }, { requiredKeys: ['video_file'] }),
  fc.record({ test_pattern: fc.constant(true) }),
);

const limits = some({
  max_days: fc.oneof(fc.integer({ min: 1, max: 400 }), fc.constant(null)),
  max_gb: fc.oneof(fc.integer({ min: 1, max: 4000 }), fc.constant(null)),
});
const retention = some({ continuous: limits, event: limits });

const camera: fc.Arbitrary<CameraInput> = fc
  .tuple(
    fc.record({ camera_id: id }),
    source,
    some({
      name: words,
      notes: fc.oneof(words, fc.constant(null)),
      enabled: fc.boolean(),
      width: fc.integer({ min: 16, max: 7680 }),
      fps: fc.integer({ min: 1, max: 240 }),
      motion: some({ sensitivity: fraction, masks: fc.array(polygon, { maxLength: 2 }) }),
      detection: some({
        enabled: fc.boolean(),
        fps: fc.integer({ min: 1, max: 30 }),
        labels: fc.array(words, { minLength: 1, maxLength: 3 }),
        min_score: fraction,
        filters: fc.dictionary(id, some({ min_score: fraction, min_area: fraction, max_area: fraction }), {
          maxKeys: 2,
        }),
      }),
      zones: fc.uniqueArray(zone, { maxLength: 3, selector: (each) => each.id }),
      privacy_masks: fc.array(polygon, { maxLength: 2 }),
      recording: some({
        enabled: fc.boolean(),
        mode: fc.constantFrom('events' as const, 'continuous' as const, 'motion' as const),
        segment_seconds: fc.integer({ min: 10, max: 600 }),
        retention,
        pre_seconds: fc.integer({ min: 0, max: 60 }),
        post_seconds: fc.integer({ min: 0, max: 120 }),
        max_clip_seconds: fc.integer({ min: 10, max: 3600 }),
        buffer_mb: fc.integer({ min: 2, max: 1024 }),
      }),
    }),
  )
  .map(([named, from, rest]) => Object.assign(named, from, rest));

const line = {
  line: fc.oneof(fc.integer({ min: 0, max: 53 }), fc.constant('GPIO17')),
  active_low: fc.boolean(),
};
const output = fc
  .tuple(
    fc.record({ id, line: line.line }),
    some({ active_low: line.active_low, times: fc.integer({ min: 1, max: 9 }) }),
  )
  .map(([named, rest]) => Object.assign(named, rest));
const input = fc.record({ id, ...line, arm_mode: fc.constantFrom('home' as const, 'away' as const) });

export const configs: fc.Arbitrary<ConfigInput> = some({
  node: some({ id }),
  cameras: fc.uniqueArray(camera, {
    maxLength: 3,
    // For the environment `-` and `_` are one.
    selector: ({ camera_id }) => camera_id.replaceAll('-', '_'),
  }),
  detection: some({
    backend: fc.constantFrom('auto' as const, 'tfjs-wasm' as const, 'onnx' as const),
    model: words,
    workers: fc.integer({ min: 0, max: 64 }),
  }),
  bus: some({
    host: fc.constantFrom('127.0.0.1', '::1', '0.0.0.0'),
    port,
    anonymous: fc.constantFrom('read' as const, 'none' as const),
    tls: some({
      enabled: fc.boolean(),
      port,
      client_certificates: fc.constantFrom('none' as const, 'optional' as const),
    }),
    limits: some({
      connections: fc.integer({ min: 1, max: 10_000 }),
      packet_kb: fc.integer({ min: 1, max: 16_384 }),
    }),
    bridge: some({ username: words, max_mb: fc.integer({ min: 1, max: 1024 }) }).map((rest) =>
      Object.assign(rest, { url: 'mqtt://broker.lan' }),
    ),
    home_assistant: some({ enabled: fc.boolean() }),
  }),
  metrics: some({ host: fc.constantFrom('127.0.0.1', '0.0.0.0'), port }),
  system: some({ logging: some({ log_level: fc.constantFrom('debug' as const, 'WARNING' as const) }) }),
  gpio: some({
    outputs: fc.uniqueArray(output, { maxLength: 3, selector: (each) => each.id }),
    inputs: fc.uniqueArray(input, { maxLength: 3, selector: (each) => each.id }),
  }),
  storage: some({
    path: words,
    // Text is taken from the environment as it is, so null can be said in a file only.
    media_id: fc.uuid(),
    low_space_threshold_gb: fc.integer({ min: 0, max: 100 }),
    cleanup_interval_seconds: fc.integer({ min: 1, max: 86_400 }),
    retention,
  }),
});
