import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordingSettings } from '../../device/contract/settings.ts';
import { writeIdentity } from '../../device/kernel/directory-identity.ts';

export const MEDIA_ID = 'the-disk';

/** Puts the disk that says it is `MEDIA_ID` into a data directory. */
export async function mountMedia(dataDir: string): Promise<void> {
  await mkdir(join(dataDir, 'media'), { recursive: true });
  await writeIdentity(join(dataDir, 'media'), { id: MEDIA_ID, createdUtcMs: 0 });
}

export const RECORDING: RecordingSettings = {
  enabled: true,
  mode: 'events',
  segmentMs: 10_000,
  preRollMs: 5000,
  postRollMs: 5000,
  maxClipMs: 600_000,
  bufferBytes: 32 * 2 ** 20,
  retention: {
    continuous: { maxAgeMs: null, maxBytes: null },
    event: { maxAgeMs: null, maxBytes: null },
  },
};
