import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { SendMailOptions } from 'nodemailer';
import type { EmailSettings } from '../contract/notify.ts';
import { DeliveryError, networkFailure, type Message, type Receiver } from './delivery.ts';
import { caOf } from './webhook.ts';

/** A mail cannot be changed, so it waits a little for its picture. */
const SETTLE_MS = 15_000;

/** One mail per incident to all recipients. The same mail sent again has the same Message-ID. */
export function emailReceiver(settings: EmailSettings & { readonly host: string }): Receiver {
  const { from, host, port, recipients, security, timeoutMs, username, password } = settings;
  return {
    async send(message, signal) {
      if (security === 'none' && !isLoopback(host)) {
        throw new DeliveryError('NOTIFY_UNCONFIGURED', 'security none is for a mail server on this machine');
      }
      const { createTransport } = await import('nodemailer');
      const ca = settings.caFile === null ? null : await caOf(settings.caFile);
      const transport = createTransport({
        host,
        port,
        secure: security === 'tls',
        requireTLS: security === 'starttls',
        ignoreTLS: security === 'none',
        ...(username === null ? {} : { auth: { user: username, pass: password ?? '' } }),
        ...(ca === null ? {} : { tls: { ca } }),
        connectionTimeout: timeoutMs,
        greetingTimeout: timeoutMs,
        socketTimeout: timeoutMs,
        disableFileAccess: true,
        disableUrlAccess: true,
      });
      const cut = (): void => transport.close();
      signal.addEventListener('abort', cut, { once: true });
      const messageId = `<${createHash('sha256').update(message.key).digest('hex').slice(0, 32)}@spyoncino>`;
      try {
        await transport.sendMail({
          from,
          to: [...recipients],
          subject: message.subject,
          text: wordsOf(message),
          messageId,
          ...(await picturesOf(message, settings.maxAttachmentBytes)),
        });
        return messageId;
      } catch (error) {
        throw mailFailure(error);
      } finally {
        signal.removeEventListener('abort', cut);
        transport.close();
      }
    },
    edit: null,
    showsPreviews: settings.preview,
    settleMs: SETTLE_MS,
    editEveryMs: 0,
  };
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host.startsWith('127.');

const wordsOf = ({ text, isRepeated }: Message): string =>
  isRepeated ? `This may have come before: an attempt was interrupted.\n\n${text}` : text;

const PREVIEW_ID = 'preview@spyoncino';

/** The still as a file; the animated picture within the text, for those who show HTML. */
async function picturesOf(
  message: Message,
  maxBytes: number,
): Promise<Pick<SendMailOptions, 'attachments' | 'html'>> {
  const still = await fileOf(message.stillPath, maxBytes);
  const preview = await fileOf(message.previewPath, maxBytes);
  return {
    ...(preview && { html: htmlOf(wordsOf(message)) }),
    attachments: [
      ...(preview
        ? [{ filename: 'preview.gif', content: preview, contentType: 'image/gif', cid: PREVIEW_ID }]
        : []),
      ...(still ? [{ filename: 'still.jpg', content: still, contentType: 'image/jpeg' }] : []),
    ],
  };
}

function htmlOf(text: string): string {
  const safe = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('\n', '<br>');
  return `<p>${safe}</p><img src="cid:${PREVIEW_ID}" alt="what happened" width="480">`;
}

/** null where it is too large, or gone. */
async function fileOf(path: string | null, maxBytes: number): Promise<Buffer | null> {
  if (path === null) return null;
  try {
    return (await stat(path)).size > maxBytes ? null : await readFile(path);
  } catch {
    return null;
  }
}

/** Not the words of the error: servers repeat what they were told. */
function mailFailure(error: unknown): DeliveryError {
  const { code, command, responseCode } = error as { code?: string; command?: string; responseCode?: number };
  const detail = [command, responseCode].filter((word) => word !== undefined).join(' ') || (code ?? 'mail');
  if (code === 'EAUTH' || code === 'ENOAUTH') return new DeliveryError('NOTIFY_UNAUTHORIZED', detail);
  if (code === 'ETLS' || code === 'ESTARTTLS') return new DeliveryError('NOTIFY_TLS', detail);
  if (responseCode === undefined) {
    const { originalCode } = error as { originalCode?: string };
    return networkFailure(originalCode ?? code, command === 'DATA' || command === 'API');
  }
  if (responseCode >= 400 && responseCode < 500) return new DeliveryError('NOTIFY_THROTTLED', detail);
  return new DeliveryError('NOTIFY_REFUSED', detail, { isFinal: command === 'DATA' });
}
