/** What a box records when it is asked to. */
import type { Guest } from './guest.ts';

export interface Recorded {
  readonly eventId: string;
  /** Below the data directory. */
  readonly clip: string;
}

/** Begins an event of the camera of SETTINGS; resolves when its clip is there. */
export async function recordEvent(guest: Guest): Promise<Recorded> {
  const event = await guest.expect(
    `spyoncino command event.create '{"label": "person", "duration_seconds": 3}' --camera attic`,
    /"event_id": "([^"]+)"/,
  );
  const eventId = /"event_id": "([^"]+)"/.exec(event)?.[1] ?? '';
  const footage = await guest.until(
    `spyoncino command recordings.get '{"item_id": "${eventId}"}'`,
    /"path": "[^"]+\.mp4"/,
  );
  return { eventId, clip: /"path": "([^"]+)"/.exec(footage)?.[1] ?? '' };
}
