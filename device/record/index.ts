export { createRecorder, type Recorder, type RecorderOptions } from './recorder.ts';
export { recoverClips, type RecoverOptions } from './recover.ts';
export type { Disk, DiskFile } from './disk.ts';
