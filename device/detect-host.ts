/** Entry of the child process that runs the models, for all cameras. */
import { CodedError } from './contract/errors.ts';
import type { DetectHostMessage, DetectHostStart } from './contract/host.ts';
import { createDetectServer } from './detect/index.ts';
import { createMeter } from './health/index.ts';
import { serveParent } from './host.ts';
import { systemClock } from './kernel/clock.ts';
import { createLog } from './kernel/log.ts';

const WAITS_EVERY_MS = 5000;

serveParent<DetectHostStart, DetectHostMessage>(
  async ({ settings, dataDir, logLevel, socket, trouble }, { signal, send, meterReady, onTrouble }) => {
    process.title = 'spyoncino detect';
    const log = createLog({ name: 'detect', level: logLevel });
    using meter = createMeter({ process: 'detect' });
    meterReady(meter);
    try {
      await using server = await createDetectServer({
        settings,
        dataDir,
        socket,
        meter,
        log,
        clock: systemClock,
      });
      server.setTrouble(trouble);
      onTrouble((now) => server.setTrouble(now));
      send({ type: 'ready', info: server.info });
      while (!signal.aborted) {
        await systemClock.sleep(WAITS_EVERY_MS, signal).catch(() => {});
        send({ type: 'waits', longestMs: server.takeLongestWaitMs() });
      }
    } catch (error) {
      const coded = CodedError.from(error, 'DETECTOR_FAILED');
      log.error({ err: error, code: coded.code }, coded.message);
      send({ type: 'failed', reason: coded.report() });
      throw coded;
    }
  },
);
