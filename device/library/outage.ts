import type { CameraFact } from '../contract/facts.ts';
import type { OutageFact } from './commit.ts';

/** What the state of a stream says about footage: only the recorded stream counts. Pure. */
export function outageOf({ cameraId, phase, reason, role, sinceUtcMs }: CameraFact): OutageFact | null {
  if (role !== 'main') return null;
  if (phase === 'running') return { type: 'outage', cameraId, utcMs: sinceUtcMs, reason: null };
  if (phase === 'down' && reason) return { type: 'outage', cameraId, utcMs: sinceUtcMs, reason };
  return null;
}
