/**
 * A camera host that a real agent runs in place of device/camera-host.ts: the real recorder, fed in real time,
 * and told of events and motion at random. Writes down what it did.
 */
import type { EventState, Fact } from '../../device/contract/facts.ts';
import type { CameraHostMessage, CameraHostStart } from '../../device/contract/host.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { serveParent } from '../../device/host.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { realDisk } from '../../device/record/disk.ts';
import { createRecorder, recoverFootage, type Disk } from '../../device/record/index.ts';
import { capturedPattern, encodedStream } from './feeds.ts';
import { readPlan, recordingOf } from './plan.ts';
import { seededRandom } from './seeded-random.ts';
import { Story } from './story.ts';
import { MOTION, openReports, readReports, type Report } from './witness.ts';

serveParent<CameraHostStart, CameraHostMessage>(async (start, { signal, send }) => {
  const { settings, dataDir, mediaId, run, logLevel } = start;
  const { cameraId } = settings;
  const plan = readPlan();
  const report = openReports(plan.reportsFile);
  const who = { cameraId, run };
  const log = createLog({ name: cameraId, level: logLevel });
  const emit = (fact: Fact): void => send({ type: 'fact', fact });
  const shared = { cameraId, dataDir, mediaId, run, emit, log, clock: systemClock };
  const recorder = createRecorder({
    ...{ ...shared, settings: recordingOf(settings.recording.mode), meter: noMeter },
    ...(plan.careless && { disk: carelessDisk }),
  });
  const recovering = recoverFootage(shared, signal);

  const isOurs = (report: Report): boolean => report.type === 'starts' && report.cameraId === cameraId;
  const earlier = readReports(plan.reportsFile).filter(isOurs).length;
  const no = plan.cameras.findIndex((camera) => camera.cameraId === cameraId);
  const random = seededRandom(plan.seed + 1_000_003 * no + 10_007 * earlier);
  const visits = new Story(random, (n, isOn, utcMs) => {
    const event = eventOf(cameraId, `${cameraId}-${run}-${n}`, n, isOn, utcMs);
    if (isOn) recorder.openEvent(event.eventId, utcMs);
    else recorder.closeEvent(event.eventId, utcMs);
    emit({ type: 'event', phase: isOn ? 'new' : 'end', event, frameArrivedUtcMs: utcMs });
    report({ ...who, type: isOn ? 'begins' : 'ends', what: event.eventId, utcMs });
  });
  const motions = new Story(random, (n, isOn, utcMs) => {
    recorder.motion(isOn ? 'start' : 'end', utcMs);
    report({ ...who, type: isOn ? 'begins' : 'ends', what: `${MOTION} ${n}`, utcMs });
  });

  const feed = plan.capture ? capturedPattern({ cameraId, log }) : encodedStream(plan.streamFile);
  let utcMs = Date.now();
  let timescale = 1;
  report({ ...who, type: 'starts', pid: process.pid });
  await feed(
    {
      stream(info) {
        ({ timescale } = info.video);
        recorder.stream(info);
      },
      packet(packet) {
        recorder.packet(packet);
        if (packet.track !== 'video') return;
        utcMs = packet.utcMs;
        report({ ...who, type: 'picture', utcMs, durationMs: (packet.duration / timescale) * 1000 });
        visits.goOn(utcMs);
        motions.goOn(utcMs);
      },
    },
    signal,
  );
  visits.end(utcMs);
  motions.end(utcMs);
  await recovering;
  await recorder.close();
  report({ ...who, type: 'drained' });
});

/** Promises what it does not do. */
const carelessDisk: Disk = {
  ...realDisk,
  async create(path) {
    return { ...(await realDisk.create(path)), sync: async () => {} };
  },
};

function eventOf(
  cameraId: string,
  eventId: string,
  trackId: number,
  isOn: boolean,
  utcMs: number,
): EventState {
  const box = [0.1, 0.1, 0.2, 0.2] as const;
  return {
    ...{ eventId, cameraId, trackId, label: 'person', score: 0.9, topScore: 0.9, box },
    ...{ zones: [], enteredZones: [], stationary: false, stillPath: null },
    ...{ startUtcMs: utcMs, lastSeenUtcMs: utcMs, startMediaMs: 0, lastSeenMediaMs: 0 },
    endUtcMs: isOn ? null : utcMs,
    endReason: isOn ? null : 'gone',
    best: { utcMs, mediaMs: 0, box, score: 0.9 },
  };
}
