import { getFFmpegInfo } from 'node-av/lib';

/** For `spyoncino --version` and reports of faults. */
export const mediaVersions = (): { ffmpeg: string } => ({ ffmpeg: getFFmpegInfo().version });
