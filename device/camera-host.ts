/** Entry of the child process that serves one camera. Native media code lives and dies here, never in the agent. */
import { runCamera } from './camera.ts';
import type { CameraHostMessage, CameraHostStart } from './contract/host.ts';
import { connectDetector } from './detect/client.ts';
import { createMeter } from './health/index.ts';
import { serveParent } from './host.ts';
import { systemClock } from './kernel/clock.ts';
import { createLog } from './kernel/log.ts';

serveParent<CameraHostStart, CameraHostMessage>(
  async (
    { settings, dataDir, mediaId, logLevel, run, detectSocket },
    { signal, send, meterReady, onRequest },
  ) => {
    const { cameraId } = settings;
    // Never anything secret: the title is public on the machine.
    process.title = `spyoncino camera ${cameraId}`;
    const log = createLog({ name: `camera ${cameraId}`, level: logLevel });
    using meter = createMeter({ process: 'camera', camera: cameraId });
    meterReady(meter);
    await using detector = connectDetector({
      socket: detectSocket,
      cameraId,
      meter,
      log,
      clock: systemClock,
    });
    await runCamera(
      {
        settings,
        dataDir,
        mediaId,
        run,
        detector,
        emit: (fact) => send({ type: 'fact', fact }),
        meter,
        clock: systemClock,
        log,
        onReady: (chain) =>
          onRequest((request) =>
            request.kind === 'snapshot'
              ? chain.snapshot()
              : { eventId: chain.testEvent(request.label, request.durationMs) },
          ),
      },
      signal,
    );
  },
);
