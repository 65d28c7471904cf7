export { createRecorder, type Recorder, type RecorderOptions } from './recorder.ts';
export { recoverFootage, type RecoverOptions } from './recover.ts';
export { expectMedia, type MediaPlace } from './media-guard.ts';
export { FileGone, type Disk, type DiskFile } from './disk.ts';
