import { createHmac } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { WebhookSettings } from '../contract/notify.ts';
import type { Clock } from '../kernel/clock.ts';
import { DeliveryError, statusFailure, type Message, type Receiver } from './delivery.ts';
import { post } from './http.ts';
import { endOf, isOver, startOf } from './incidents.ts';

/** `v1=` and the HMAC-SHA256 of `<timestamp>.<body>` under the secret, in hexadecimal. */
export const signatureOf = (secret: string, timestamp: string, body: Buffer): string =>
  `v1=${createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex')}`;

/**
 * Messages as JSON to one address. Every state of an incident is a request of its own with a key of its own: a
 * receiver that knows the key has it already.
 */
export function webhookReceiver(
  settings: WebhookSettings & { readonly url: string },
  clock: Clock,
): Receiver {
  const url = new URL(settings.url);

  async function deliver(message: Message, signal: AbortSignal): Promise<void> {
    if (settings.requireHttps && url.protocol !== 'https:') {
      throw new DeliveryError('NOTIFY_UNCONFIGURED', 'the address is not https, and require_https is on');
    }
    const body = Buffer.from(JSON.stringify(await bodyOf(message, settings.maxBinaryBytes)));
    const timestamp = Math.floor(clock.utcMs() / 1000).toString();
    const ca = settings.caFile === null ? null : await caOf(settings.caFile);
    const { status, retryAfterMs } = await post(
      {
        url,
        body,
        ca,
        timeoutMs: settings.timeoutMs,
        headers: {
          ...settings.headers,
          'content-type': 'application/json',
          'user-agent': 'spyoncino',
          'idempotency-key': `${message.key}/${message.notice.revision}`,
          'x-spyoncino-timestamp': timestamp,
          ...(settings.secret === null
            ? {}
            : { 'x-spyoncino-signature': signatureOf(settings.secret, timestamp, body) }),
        },
      },
      signal,
    );
    const failure = statusFailure(status, retryAfterMs);
    if (failure) throw failure;
  }

  return {
    async send(message, signal) {
      await deliver(message, signal);
      return message.notice.noticeId;
    },
    async edit(ref, message, signal) {
      await deliver(message, signal);
      return ref;
    },
    showsPreviews: false,
    settleMs: 0,
    editEveryMs: 1000,
  };
}

export async function caOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    throw new DeliveryError('NOTIFY_UNCONFIGURED', 'the file with the certificate authority cannot be read');
  }
}

async function bodyOf(message: Message, maxBinaryBytes: number): Promise<object> {
  const { notice, subject, text, key } = message;
  const { content } = notice;
  const common = {
    schema: '1.0.0',
    event_kind: content.kind,
    key,
    notice_id: notice.noticeId,
    revision: notice.revision,
    subject,
    text,
    start_ts: startOf(notice),
    end_ts: endOf(notice),
  };
  if (content.kind === 'digest') {
    return { ...common, incidents: content.incidents, events_by_camera: content.events };
  }
  const still = message.stillPath === null ? null : await stillOf(message.stillPath, maxBinaryBytes);
  return {
    ...common,
    is_over: isOver(content),
    camera_id: content.events[0]?.cameraId,
    events: content.events.map(({ eventId, cameraId, label, score, zones, startUtcMs, endUtcMs }) => ({
      event_id: eventId,
      camera_id: cameraId,
      label,
      score,
      zones,
      start_ts: startUtcMs,
      end_ts: endUtcMs,
    })),
    clip_id: content.clipId,
    ...(still && { content_type: 'image/jpeg', artifact_base64: still.toString('base64') }),
  };
}

/** null where it is too large, or gone. */
async function stillOf(path: string, maxBytes: number): Promise<Buffer | null> {
  try {
    const { size } = await stat(path);
    return size <= maxBytes ? await readFile(path) : null;
  } catch {
    return null;
  }
}
