import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
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
          attachments: await attachmentsOf(message, settings.maxAttachmentBytes),
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
    settleMs: SETTLE_MS,
    editEveryMs: 0,
  };
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host.startsWith('127.');

const wordsOf = ({ text, isRepeated }: Message): string =>
  isRepeated ? `This may have come before: an attempt was interrupted.\n\n${text}` : text;

async function attachmentsOf({ stillPath }: Message, maxBytes: number) {
  if (stillPath === null) return [];
  try {
    if ((await stat(stillPath)).size > maxBytes) return [];
    return [{ filename: 'still.jpg', content: await readFile(stillPath), contentType: 'image/jpeg' }];
  } catch {
    return [];
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
