/**
 * The process that is killed: records a few cameras in real time and says on stdout what it was given and
 * told, one JSON line each, written before it goes on.
 */
import { readFileSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { deserialize } from 'node:v8';
import { noMeter } from '../../device/contract/metrics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { createRecorder, type Recorder } from '../../device/record/index.ts';
import { asCamera, type EncodedStream } from '../integration/record-encoded.ts';
import { MEDIA_ID } from '../harness/media.ts';
import { seededRandom } from './seeded-random.ts';
import { RECORDING, type ChildPlan, type Report } from './plan.ts';

const plan = JSON.parse(process.argv[2]!) as ChildPlan;
const stream = deserialize(readFileSync(plan.streamFile)) as EncodedStream;
const report = (line: Report): void => void writeSync(1, `${JSON.stringify(line)}\n`);

const log = createLog({ name: 'crash-child', level: 'error' });

async function runCamera(cameraId: string, random: () => number): Promise<void> {
  const recorder = createRecorder({
    cameraId,
    dataDir: plan.dataDir,
    mediaId: MEDIA_ID,
    run: String(plan.run),
    settings: RECORDING,
    emit: (fact) => report({ cameraId, type: fact.type, fact }),
    meter: noMeter,
    log,
    clock: systemClock,
  });
  const startUtcMs = Date.now();
  const { info, packets } = asCamera(stream, { startUtcMs, rounds: 10 });
  recorder.stream(info);
  const startMs = performance.now();
  const firstDts = packets[0]!.dts;
  const events = eventsOf(recorder, cameraId, random);
  for (const packet of packets) {
    const timescale = packet.track === 'video' ? info.video.timescale : info.audio!.timescale;
    const dueMs = ((packet.dts - firstDts) / timescale) * 1000;
    const waitMs = startMs + dueMs - performance.now();
    if (waitMs > 0) await delay(waitMs);
    recorder.packet(packet);
    if (packet.track === 'video') report({ cameraId, type: 'received', utcMs: packet.utcMs });
    events(packet.utcMs);
  }
}

/** Opens and closes events one after the other, at random moments. */
function eventsOf(recorder: Recorder, cameraId: string, random: () => number): (utcMs: number) => void {
  let open: string | null = null;
  let count = 0;
  let nextUtcMs = 0;
  return (utcMs) => {
    if (utcMs < nextUtcMs) return;
    if (open === null) {
      open = `${cameraId}-${++count}`;
      recorder.openEvent(open, utcMs);
      report({ cameraId, type: 'open', eventId: open, utcMs });
      nextUtcMs = utcMs + 200 + random() * 3000;
    } else {
      recorder.closeEvent(open, utcMs);
      report({ cameraId, type: 'close', eventId: open, utcMs });
      open = null;
      nextUtcMs = utcMs + random() * 1500;
    }
  };
}

const random = seededRandom(plan.seed);
await Promise.all(plan.cameraIds.map((cameraId) => runCamera(cameraId, random)));
