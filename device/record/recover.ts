import type { ClipReadyFact } from '../contract/facts.ts';
import type { Log } from '../kernel/log.ts';
export interface RecoverOptions {
  readonly cameraId: string;
  readonly dataDir: string;
  readonly log: Log;
  emit(fact: ClipReadyFact): void;
}
export async function recoverClips(options: RecoverOptions): Promise<void> {
  await Promise.resolve(options);
}
