/** Records a generated camera, one event open from the start, and tells its parent what has been received. */
import { runCapture } from '../../device/capture/index.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { createRecorder } from '../../device/record/index.ts';
import { defaultSettings } from '../../device/settings/index.ts';
import { MEDIA_ID } from '../harness/media.ts';

const [, , dataDir = '', run = ''] = process.argv;
const [camera] = defaultSettings(dataDir, [{ camera_id: 'crash', test_pattern: true }]).cameras;
if (!camera) throw new Error('the default settings lost the camera');
const shared = {
  cameraId: 'crash',
  meter: noMeter,
  clock: systemClock,
  log: createLog({ name: 'crash', level: 'warn' }),
};
const recorder = createRecorder({
  ...shared,
  dataDir,
  mediaId: MEDIA_ID,
  run,
  settings: camera.recording,
  emit: (fact) => process.send?.({ fact: fact.type }),
});
process.on('disconnect', () => process.exit());
recorder.openEvent(`event-${run}`, systemClock.utcMs());
await runCapture(
  {
    ...shared,
    source: { kind: 'pattern', width: 320, height: 240, fps: 25 },
    analysisFps: 0,
    packets: true,
    privacyMasks: [],
    sink: {
      stream: (info) => recorder.stream(info),
      packet: (_role, packet) => {
        recorder.packet(packet);
        const endUtcMs = packet.utcMs + (packet.duration * 1000) / 90_000;
        process.send?.({ receivedUtcMs: endUtcMs });
      },
      frame: (frame) => frame.release(),
      state: () => {},
    },
  },
  new AbortController().signal,
);
