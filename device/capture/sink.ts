import type { CameraFact } from '../contract/facts.ts';
import type { Polygon } from '../contract/geometry.ts';
import type { MediaPacket, PixelFrame, StreamInfo, StreamRole } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';
import type { SourceSettings } from '../contract/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';

/** Where everything that a camera gives ends up. Called on the event loop, in stream order; must not throw. */
export interface CaptureSink {
  /** Before the first packet of each role and generation. */
  stream(info: StreamInfo): void;
  /** The sink may keep `packet.data`; nobody writes to it any more. */
  packet(role: StreamRole, packet: MediaPacket): void;
  /**
   * A sampled picture, of the sub stream if there is one; while that is down, of main. The sink owns the loan and
   * must `release()` it.
   * Live: until the returned promise settles newer pictures are not made (drops stage=analysis reason=busy).
   * Unpaced files: capture waits for the promise, nothing is dropped.
   */
  frame(frame: PixelFrame, role: StreamRole): void | Promise<void>;
  state(fact: CameraFact): void;
}

export interface CaptureOptions {
  readonly cameraId: string;
  readonly source: SourceSettings;
  /** Pictures per second of media time, at most; 0 = never decode. */
  readonly analysisFps: number;
  /** false: nobody wants packets, so nothing is encoded and `packet` is never called. */
  readonly packets: boolean;
  /**
   * Blackened in every picture before anything else sees it. With any, the packets of the camera itself, which
   * show what is masked, never reach the sink: what is recorded (the main stream) is encoded anew.
   */
  readonly privacyMasks: readonly Polygon[];
  readonly sink: CaptureSink;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock: Clock;
  /** 0..1, for the jitter of reconnection. */
  readonly random?: () => number;
}
