import { stat } from 'node:fs/promises';
import type { Api, InputFile } from 'grammy';
import type { TelegramSettings } from '../contract/notify.ts';
import { DeliveryError, networkFailure, type Message, type Receiver } from './delivery.ts';

/** Of the Bot API. */
const MAX_TEXT = 4096;
const MAX_CAPTION = 1024;
/** A clip takes longer than words. */
const MEDIA_PATIENCE = 4;
/** Telegram lets a bot say about one thing a second in a chat, 20 a minute in a group. */
const EDIT_EVERY_MS = 3000;

/** From what says least to what shows most: a message never goes back. */
const KINDS = ['text', 'photo', 'animation', 'video'] as const;
type Kind = (typeof KINDS)[number];

/** What a message shows. */
type Content = { readonly kind: 'text' } | { readonly kind: Exclude<Kind, 'text'>; readonly path: string };

/** `ref`: id of the message and what it shows, as in `17/photo`. */
const refOf = (messageId: number, kind: Kind): string => `${messageId}/${kind}`;

function parsed(ref: string): { messageId: number; kind: Kind } {
  const [id, kind] = ref.split('/');
  return { messageId: Number(id), kind: kind as Kind };
}

/** Messages to one chat: words at once, then the best still in the same message, then the clip. */
export function telegramReceiver(
  settings: TelegramSettings & { readonly token: string },
  chatId: string,
): Receiver {
  const { timeoutMs, maxFileBytes } = settings;
  let api: Promise<GrammyApi> | null = null;
  const connect = (): Promise<GrammyApi> => (api ??= connectTo(settings));

  /** `work` with the time it may take. */
  async function call<T>(
    factor: number,
    signal: AbortSignal,
    work: (grammy: GrammyApi, signal: never) => Promise<T>,
  ): Promise<T> {
    const grammy = await connect();
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs * factor)]);
    try {
      // Its own kind of signal differs from that of Node in types only.
      return await work(grammy, limit as never);
    } catch (error) {
      throw telegramFailure(error);
    }
  }

  async function best(message: Message): Promise<Content> {
    const clip = await message.clip();
    if (clip !== null && (await fits(clip, maxFileBytes))) return { kind: 'video', path: clip };
    const { previewPath: preview, stillPath: still } = message;
    if (settings.preview && preview !== null && (await fits(preview, maxFileBytes))) {
      return { kind: 'animation', path: preview };
    }
    if (still !== null && (await fits(still, maxFileBytes))) return { kind: 'photo', path: still };
    return { kind: 'text' };
  }

  function sendAs(content: Content, message: Message, signal: AbortSignal): Promise<{ message_id: number }> {
    if (content.kind === 'text') {
      return call(1, signal, ({ api }, limit) =>
        api.sendMessage(chatId, wordsOf(message, MAX_TEXT), {}, limit),
      );
    }
    const caption = wordsOf(message, MAX_CAPTION);
    return call<{ message_id: number }>(MEDIA_PATIENCE, signal, ({ api, file }, limit) => {
      const media = file(content.path);
      switch (content.kind) {
        case 'video':
          return api.sendVideo(chatId, media, { caption, supports_streaming: true }, limit);
        case 'animation':
          return api.sendAnimation(chatId, media, { caption }, limit);
        default:
          return api.sendPhoto(chatId, media, { caption }, limit);
      }
    });
  }

  async function editAs(content: Content, ref: string, message: Message, signal: AbortSignal): Promise<Kind> {
    const { messageId, kind } = parsed(ref);
    const caption = wordsOf(message, MAX_CAPTION);
    if (content.kind === 'text' && kind === 'text') {
      const text = wordsOf(message, MAX_TEXT);
      await call(1, signal, ({ api }, limit) => api.editMessageText(chatId, messageId, text, {}, limit));
      return 'text';
    }
    // What shows more goes on showing it; only a still may be followed by a better one.
    const isMore = KINDS.indexOf(content.kind) > KINDS.indexOf(kind);
    if (content.kind === 'text' || !(isMore || (kind === 'photo' && content.kind === 'photo'))) {
      await call(1, signal, ({ api }, limit) =>
        api.editMessageCaption(chatId, messageId, { caption }, limit),
      );
      return kind;
    }
    const { path, kind: type } = content;
    await call(MEDIA_PATIENCE, signal, ({ api, file }, limit) =>
      api.editMessageMedia(chatId, messageId, { type, media: file(path), caption }, {}, limit),
    );
    return type;
  }

  return {
    async send(message, signal) {
      const content = await best(message);
      try {
        return refOf((await sendAs(content, message, signal)).message_id, content.kind);
      } catch (error) {
        if (content.kind === 'text' || !isOfMedia(error)) throw error;
        return refOf((await sendAs({ kind: 'text' }, message, signal)).message_id, 'text');
      }
    },
    async edit(ref, message, signal) {
      const { messageId } = parsed(ref);
      const content = await best(message);
      try {
        return refOf(messageId, await editAs(content, ref, message, signal));
      } catch (error) {
        if (error instanceof NotModified) return ref;
        if (content.kind === 'text' || !isOfMedia(error)) throw error;
        return refOf(messageId, await editAs({ kind: 'text' }, ref, message, signal));
      }
    },
    showsPreviews: settings.preview,
    settleMs: 0,
    editEveryMs: EDIT_EVERY_MS,
  };
}

interface GrammyApi {
  readonly api: Api;
  readonly file: (path: string) => InputFile;
}

/** Loaded when there is somebody to tell. */
async function connectTo({ token, apiRoot }: { token: string; apiRoot: string }): Promise<GrammyApi> {
  const { Api, InputFile } = await import('grammy');
  return { api: new Api(token, { apiRoot }), file: (path) => new InputFile(path) };
}

function wordsOf({ subject, text, isRepeated }: Message, max: number): string {
  const words = [...(isRepeated ? ['(again: the first may have been lost)'] : []), subject, text].join('\n');
  return words.length <= max ? words : `${words.slice(0, max - 1)}…`;
}

async function fits(path: string, maxBytes: number): Promise<boolean> {
  const { size } = await stat(path).catch(() => ({ size: Infinity }));
  return size > 0 && size <= maxBytes;
}

/** The message says already what it was to say. */
class NotModified extends DeliveryError {}

/** The picture is at fault, not the words. */
const isOfMedia = (error: unknown): boolean => error instanceof DeliveryError && error.isFinal;

/** Not the words of the error: they may hold the address, and the token is part of that. */
export function telegramFailure(error: unknown): DeliveryError {
  const {
    error_code,
    description = '',
    parameters,
    error: inner,
  } = error as {
    error_code?: number;
    description?: string;
    parameters?: { retry_after?: number };
    error?: { code?: string; type?: string };
  };
  if (error instanceof DeliveryError) return error;
  if (error_code === undefined) return networkFailure(inner?.code ?? inner?.type, true);
  const known = PHRASES.find((phrase) => description.includes(phrase));
  const detail = known ? `${error_code}: ${known}` : String(error_code);
  if (known === 'message is not modified') return new NotModified('NOTIFY_REFUSED', detail);
  if (error_code === 401 || error_code === 404) return new DeliveryError('NOTIFY_UNAUTHORIZED', detail);
  if (error_code === 429) {
    return new DeliveryError('NOTIFY_THROTTLED', detail, {
      retryAfterMs: (parameters?.retry_after ?? 1) * 1000,
    });
  }
  if (error_code === 403 || known === 'chat not found') return new DeliveryError('NOTIFY_REFUSED', detail);
  if (error_code >= 500) return new DeliveryError('NOTIFY_FAILED', detail, { maybeDelivered: true });
  return new DeliveryError('NOTIFY_REFUSED', detail, { isFinal: true });
}

const PHRASES = [
  'message is not modified',
  'message to edit not found',
  "message can't be edited",
  'chat not found',
  'bot was blocked',
  'bot was kicked',
  'Request Entity Too Large',
];
