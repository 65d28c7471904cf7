/** Stands in for the detect host, which has nothing to do with what is proven here: waits to be stopped. */
import { once } from 'node:events';
import type { DetectHostMessage, DetectHostStart } from '../../device/contract/host.ts';
import { serveParent } from '../../device/host.ts';

serveParent<DetectHostStart, DetectHostMessage>(async (_start, { signal }) => {
  if (!signal.aborted) await once(signal, 'abort');
});
