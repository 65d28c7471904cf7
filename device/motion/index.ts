/** Where something moves in the picture. Pure: no clock, no randomness, same pictures → same answers. */
export { createMotionDetector } from './detector.ts';
export type { MotionBox, MotionDetector, MotionResult } from './detector.ts';
