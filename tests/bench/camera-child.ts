/**
 * A camera host as the product wires it (device/camera.ts), but without detection, and with one event that is
 * open from the first second on, so that the main stream is written for the whole run.
 */
import { runCapture } from '../../device/capture/index.ts';
import type { Polygon } from '../../device/contract/geometry.ts';
import { createMeter } from '../../device/health/index.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { createMotionDetector, type MotionDetector } from '../../device/motion/index.ts';
import { createRecorder } from '../../device/record/index.ts';
import { MEDIA_ID, mountMedia, RECORDING } from '../harness/media.ts';

export interface CameraChildStart {
  readonly mainUrl: string;
  readonly subUrl: string;
  readonly dataDir: string;
  readonly privacyMasks: readonly Polygon[];
}

/** Sent before it exits: what it really did. */
export interface CameraChildReport {
  readonly analysedPictures: number;
  readonly start: StartTimes;
}

/** Milliseconds since the process began. */
export interface StartTimes {
  /** The code is loaded; now the camera is asked. */
  readonly connectingMs: number;
  /** The first key frame of the watched stream is here. */
  readonly connectedMs: number;
  /** The first picture has been looked at. */
  readonly firstPictureMs: number;
}

process.once('message', (start: CameraChildStart) => {
  void main(start);
});

async function main({ mainUrl, subUrl, dataDir, privacyMasks }: CameraChildStart): Promise<void> {
  const stop = new AbortController();
  // The next message, and the loss of the parent, both mean: finish.
  process.once('message', () => stop.abort());
  process.once('disconnect', () => stop.abort());
  const log = createLog({ name: 'bench camera', level: 'warn' });
  using meter = createMeter({ process: 'camera', camera: 'bench' });
  const shared = { cameraId: 'bench', meter, clock: systemClock, log };
  await mountMedia(dataDir);
  const recorder = createRecorder({
    ...shared,
    dataDir,
    mediaId: MEDIA_ID,
    run: 'bench',
    settings: RECORDING,
    emit: () => {},
  });
  let motion: MotionDetector | null = null;
  let analysedPictures = 0;
  recorder.openEvent('bench', systemClock.utcMs());
  const start = { connectingMs: performance.now(), connectedMs: Number.NaN, firstPictureMs: Number.NaN };
  await runCapture(
    {
      ...shared,
      source: {
        kind: 'rtsp',
        mainUrl,
        subUrl,
        transport: 'tcp',
        username: null,
        password: null,
        audio: false,
      },
      analysisFps: 5,
      packets: true,
      privacyMasks,
      sink: {
        stream(info) {
          if (info.role === 'main') recorder.stream(info);
          else start.connectedMs = performance.now();
        },
        packet: (role, packet) => role === 'main' && recorder.packet(packet),
        frame: (frame) => {
          motion ??= createMotionDetector({ sensitivity: 0.5, masks: [] }, frame);
          motion.update(frame.luma(motion.size.width, motion.size.height), frame.mediaMs);
          frame.release();
          if (analysedPictures++ === 0) start.firstPictureMs = performance.now();
        },
        state: () => {},
      },
    },
    stop.signal,
  );
  await recorder.close();
  if (process.connected)
    process.send?.({ analysedPictures, start } satisfies CameraChildReport, () => process.disconnect());
}
