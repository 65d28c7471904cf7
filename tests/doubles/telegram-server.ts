/**
 * A Bot API server that checks what it is sent, as the real one does: the token, the chat, the length of texts, that
 * an edit names a message that is there and says something new, that a file is a file. What it knows is what a chat
 * shows.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const TOKEN = '123456:AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQr';

export interface ChatMessage {
  readonly messageId: number;
  readonly chatId: string;
  readonly kind: 'text' | 'photo' | 'video' | 'animation' | 'document';
  /** Text or caption. */
  readonly words: string;
  /** Of the file. */
  readonly sha256: string | null;
  readonly revisions: number;
  readonly sentAtMs: number;
  readonly buttons: readonly string[];
}

export interface BotCall {
  readonly method: string;
  readonly fields: Readonly<Record<string, string>>;
}

type Fault = { readonly status: number; readonly description: string; readonly retryAfterS?: number } | 'cut';

export class TelegramServer implements AsyncDisposable {
  readonly messages = new Map<number, ChatMessage>();
  readonly calls: BotCall[] = [];
  /** What goes wrong with the next calls, one after the other. */
  readonly faults: Fault[] = [];
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  readonly #chats: ReadonlySet<string>;
  readonly #updates: object[] = [];
  #news = Promise.withResolvers<void>();
  #asked = Promise.withResolvers<void>();
  #lastMessageId = 100;
  #lastUpdateId = 0;
  #port = 0;

  private constructor(chats: readonly string[]) {
    this.#chats = new Set(chats);
  }

  static async start(chats: readonly string[], port = 0): Promise<TelegramServer> {
    const server = new TelegramServer(chats);
    server.#server.listen(port, '127.0.0.1');
    await once(server.#server, 'listening');
    server.#port = (server.#server.address() as AddressInfo).port;
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** The messages of a chat, oldest first. */
  chat(chatId: string): ChatMessage[] {
    return [...this.messages.values()].filter((message) => message.chatId === chatId);
  }

  /** Resolves when what the chats show fits. */
  async shows(fits: () => boolean): Promise<void> {
    while (!fits()) await this.#news.promise;
  }

  /** Somebody writes to the bot. */
  write(
    from: number,
    text: string,
    chat: { id: number; type: string } = { id: from, type: 'private' },
  ): void {
    this.#update({
      message: {
        message_id: ++this.#lastMessageId,
        date: Math.floor(Date.now() / 1000),
        from: { id: from, is_bot: false, first_name: `user ${from}` },
        chat: { first_name: 'chat', title: 'chat', ...chat },
        text,
        ...(text.startsWith('/')
          ? { entities: [{ type: 'bot_command', offset: 0, length: text.split(' ')[0]!.length }] }
          : {}),
      },
    });
  }

  /** Somebody presses a button below a message of the bot. */
  press(from: number, data: string, message: ChatMessage): void {
    this.#update({
      callback_query: {
        id: String(++this.#lastUpdateId),
        from: { id: from, is_bot: false, first_name: `user ${from}` },
        chat_instance: '1',
        data,
        message: {
          message_id: message.messageId,
          date: 1,
          chat: { id: Number(message.chatId), type: 'private', first_name: 'chat' },
        },
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #update(update: object): void {
    this.#updates.push({ update_id: ++this.#lastUpdateId, ...update });
    this.#asked.resolve();
    this.#asked = Promise.withResolvers();
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, bot, method = ''] = (request.url ?? '').split('/');
    const { fields, files } = await formOf(request);
    const refuse = (status: number, description: string, retryAfterS?: number): void =>
      reply(response, status, {
        ok: false,
        error_code: status,
        description,
        ...(retryAfterS === undefined ? {} : { parameters: { retry_after: retryAfterS } }),
      });
    if (bot !== `bot${TOKEN}`) {
      refuse(401, 'Unauthorized');
      return;
    }
    if (method !== 'getUpdates') {
      this.calls.push({ method, fields });
      const fault = this.faults.shift();
      if (fault === 'cut') {
        this.#tell();
        request.socket.destroy();
        return;
      }
      if (fault) {
        refuse(fault.status, fault.description, fault.retryAfterS);
        this.#tell();
        return;
      }
    }
    try {
      reply(response, 200, { ok: true, result: await this.#do(method, fields, files) });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refuse(400, `Bad Request: ${error.message}`);
    }
    this.#tell();
  }

  async #do(method: string, fields: Record<string, string>, files: Map<string, Buffer>): Promise<unknown> {
    switch (method) {
      case 'getMe':
        return { id: 123_456, is_bot: true, first_name: 'Attic', username: 'attic_bot' };
      case 'deleteWebhook':
      case 'setMyCommands':
      case 'answerCallbackQuery':
      case 'sendChatAction':
        return true;
      case 'getUpdates':
        return await this.#pending(Number(fields['offset'] ?? 0), Number(fields['timeout'] ?? 0));
      case 'sendMessage':
        return this.#add(fields, 'text', fields['text'] ?? '', 4096, null);
      case 'sendPhoto':
        return this.#add(fields, 'photo', fields['caption'] ?? '', 1024, fileIn(fields['photo'], files));
      case 'sendDocument':
        return this.#add(
          fields,
          'document',
          fields['caption'] ?? '',
          1024,
          fileIn(fields['document'], files),
        );
      case 'sendVideo':
        return this.#add(fields, 'video', fields['caption'] ?? '', 1024, fileIn(fields['video'], files));
      case 'editMessageText':
        return this.#change(fields, 'text', fields['text'] ?? '', null);
      case 'editMessageCaption':
        return this.#change(fields, null, fields['caption'] ?? '', null);
      case 'editMessageMedia': {
        const media = JSON.parse(fields['media'] ?? '{}') as {
          type: 'photo' | 'video';
          media: string;
          caption?: string;
        };
        return this.#change(fields, media.type, media.caption ?? '', fileIn(media.media, files));
      }
      default:
        throw new Refusal(`method ${method} not found`);
    }
  }

  async #pending(offset: number, timeoutS: number): Promise<object[]> {
    while (this.#updates.length > 0 && (this.#updates[0] as { update_id: number }).update_id < offset)
      this.#updates.shift();
    if (this.#updates.length === 0 && timeoutS > 0) {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, timeoutS * 1000);
      await Promise.race([this.#asked.promise, late.promise]);
      clearTimeout(timer);
    }
    return this.#updates.slice(0, 100);
  }

  #add(
    fields: Record<string, string>,
    kind: ChatMessage['kind'],
    words: string,
    max: number,
    file: Buffer | null,
  ): object {
    const chatId = fields['chat_id'] ?? '';
    if (!this.#chats.has(chatId)) throw new Refusal('chat not found');
    if (kind === 'text' && words === '') throw new Refusal('message text is empty');
    if (words.length > max) throw new Refusal('message is too long');
    const messageId = ++this.#lastMessageId;
    this.messages.set(messageId, {
      messageId,
      chatId,
      kind,
      words,
      sha256: file && sha256Of(file),
      revisions: 1,
      sentAtMs: Date.now(),
      buttons: buttonsIn(fields['reply_markup']),
    });
    return { message_id: messageId, date: 1, chat: { id: Number(chatId), type: 'private' } };
  }

  #change(
    fields: Record<string, string>,
    kind: ChatMessage['kind'] | null,
    words: string,
    file: Buffer | null,
  ): object {
    const messageId = Number(fields['message_id']);
    const known = this.messages.get(messageId);
    if (!known || known.chatId !== fields['chat_id']) throw new Refusal('message to edit not found');
    if (kind === 'text' && known.kind !== 'text')
      throw new Refusal('there is no text in the message to edit');
    if (kind === null && known.kind === 'text')
      throw new Refusal('there is no caption in the message to edit');
    const sha256 = file ? sha256Of(file) : known.sha256;
    if (known.words === words && known.sha256 === sha256) throw new Refusal('message is not modified');
    if (words.length > (kind === 'text' ? 4096 : 1024)) throw new Refusal('message is too long');
    this.messages.set(messageId, {
      ...known,
      kind: kind ?? known.kind,
      words,
      sha256,
      revisions: known.revisions + 1,
      buttons: buttonsIn(fields['reply_markup']),
    });
    return { message_id: messageId, date: 1, chat: { id: Number(known.chatId), type: 'private' } };
  }
}

class Refusal extends Error {}

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function buttonsIn(markup: string | undefined): string[] {
  if (markup === undefined) return [];
  const { inline_keyboard = [] } = JSON.parse(markup) as { inline_keyboard?: { callback_data?: string }[][] };
  return inline_keyboard.flat().flatMap(({ callback_data }) => callback_data ?? []);
}

function fileIn(reference: string | undefined, files: Map<string, Buffer>): Buffer {
  const file = files.get((reference ?? '').replace(/^attach:\/\//, ''));
  if (!file || file.byteLength === 0) throw new Refusal('file must be non-empty');
  return file;
}

/** JSON or multipart/form-data. */
async function formOf(
  request: IncomingMessage,
): Promise<{ fields: Record<string, string>; files: Map<string, Buffer> }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const type = request.headers['content-type'] ?? '';
  const fields: Record<string, string> = {};
  const files = new Map<string, Buffer>();
  if (type.startsWith('multipart/')) {
    const form = await new Response(body, { headers: { 'content-type': type } }).formData();
    for (const [name, value] of form) {
      if (typeof value === 'string') fields[name] = value;
      else files.set(name, Buffer.from(await value.arrayBuffer()));
    }
  } else if (body.length > 0) {
    for (const [name, value] of Object.entries(JSON.parse(body.toString()) as Record<string, unknown>)) {
      fields[name] = typeof value === 'string' ? value : JSON.stringify(value);
    }
  }
  return { fields, files };
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
