/** Camera → packets and pictures. The only room that knows FFmpeg. */
export { runCapture } from './capture.ts';
export { decodeAt, GopReader } from './still.ts';
export { mediaVersions } from './versions.ts';
export { listDevices, type V4l2Device, type V4l2Mode } from './v4l2-devices.ts';
export type { CaptureOptions, CaptureSink } from './sink.ts';
