/** Each way of telling people against a real server of its kind. */
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type {
  EmailSettings,
  Notice,
  TelegramSettings,
  WebhookSettings,
} from '../../device/contract/notify.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import type { DeliveryError, Message, Receiver } from '../../device/notify/delivery.ts';
import { emailReceiver } from '../../device/notify/email.ts';
import { telegramReceiver } from '../../device/notify/telegram.ts';
import { webhookReceiver } from '../../device/notify/webhook.ts';
import { Tls } from '../../device/tls/index.ts';
import { sha256Of, TelegramServer, TOKEN } from '../doubles/telegram-server.ts';
import { SECRET, WebhookServer } from '../doubles/webhook-server.ts';

const STILL = randomBytes(2000);
const CLIP = randomBytes(200_000);
const PREVIEW = randomBytes(3000);
let folder: string;
let tls: Tls;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-notify-'));
  await writeFile(join(folder, 'still.jpg'), STILL);
  await writeFile(join(folder, 'clip.mp4'), CLIP);
  await writeFile(join(folder, 'preview.gif'), PREVIEW);
  tls = await Tls.open({
    stateDir: join(folder, 'state'),
    certsDir: join(folder, 'certs'),
    names: () => ['localhost', '127.0.0.1'],
    clock: systemClock,
    log: pino({ level: 'silent' }),
  });
  await writeFile(join(folder, 'ca.pem'), tls.authority);
});
afterAll(async () => {
  await tls[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const signal = new AbortController().signal;
const common = {
  enabled: true,
  route: { labels: [], zones: [], cameras: [], armModes: [], hours: [] },
  rateLimit: { maxEvents: 5, perMs: 60_000 },
  timeoutMs: 5000,
};

const notice = (more: Partial<Notice> = {}): Notice => ({
  noticeId: 'incident-e',
  content: {
    kind: 'incident',
    events: [
      {
        ...{ eventId: 'e', cameraId: 'porch', label: 'person', score: 0.9, zones: ['door'] },
        ...{ startUtcMs: 1000, endUtcMs: null, stillPath: 'still.jpg' },
      },
    ],
    clipId: 'c',
  },
  ...{ status: 'queued', createdUtcMs: 1000, revision: 3, toldRevision: 0, toldUtcMs: null, ref: null },
  ...{ tries: 1, inFlight: true, maybeTold: false },
  ...more,
});

const message = (more: Partial<Message> & { clipPath?: string | null } = {}): Message => ({
  key: 'attic/webhook/incident-e',
  notice: notice(),
  subject: 'Person on Porch, 12:00:00',
  text: '12:00:00 Porch (door): person 90 %, still there',
  isRepeated: false,
  stillPath: null,
  previewPath: null,
  clip: async () => more.clipPath ?? null,
  ...more,
});

/** Why it was not taken. */
async function refusal(work: Promise<unknown>): Promise<DeliveryError> {
  return work.then(
    () => {
      throw new Error('it was taken');
    },
    (error: unknown) => error as DeliveryError,
  );
}

/** A port at which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

describe('webhook', () => {
  const settings: WebhookSettings = {
    ...common,
    url: null,
    secret: SECRET,
    headers: { 'x-mine': 'yes' },
    requireHttps: false,
    caFile: null,
    maxBinaryBytes: 5000,
  };
  const receiver = (url: string, more: Partial<WebhookSettings> = {}): Receiver =>
    webhookReceiver({ ...settings, ...more, url }, systemClock);

  test('a signed request with a key of its own per revision, the best still with it', async () => {
    await using server = await WebhookServer.start();
    const to = receiver(`http://127.0.0.1:${server.port}/hook?a=b`);
    const ref = await to.send(message({ stillPath: join(folder, 'still.jpg') }), signal);
    await to.edit!(ref, message({ notice: notice({ revision: 4 }) }), signal);
    const [first, second] = server.calls;
    expect(first).toMatchObject({
      key: 'attic/webhook/incident-e/3',
      isSigned: true,
      headers: { 'content-type': 'application/json', 'x-mine': 'yes' },
      body: {
        event_kind: 'incident',
        revision: 3,
        camera_id: 'porch',
        is_over: false,
        events: [{ event_id: 'e', label: 'person', zones: ['door'], end_ts: null }],
        clip_id: 'c',
        content_type: 'image/jpeg',
        artifact_base64: STILL.toString('base64'),
      },
    });
    expect(second).toMatchObject({ key: 'attic/webhook/incident-e/4', isSigned: true });
    expect(second?.body).not.toHaveProperty('artifact_base64');
  });

  test('the signature is what the documentation says', async () => {
    await using server = await WebhookServer.start();
    let raw = '';
    server.fault = (response, request) => {
      raw = String(request.headers['x-spyoncino-signature']);
      response.writeHead(204).end();
    };
    await receiver(`http://127.0.0.1:${server.port}`).send(message(), signal);
    const { body, headers } = server.calls[0]!;
    const signed = `${String(headers['x-spyoncino-timestamp'])}.${JSON.stringify(body)}`;
    expect(raw).toBe(`v1=${createHmac('sha256', SECRET).update(signed).digest('hex')}`);
  });

  test.each([
    [500, 'NOTIFY_FAILED', false],
    [401, 'NOTIFY_UNAUTHORIZED', false],
    [404, 'NOTIFY_REFUSED', false],
    [422, 'NOTIFY_REFUSED', true],
    [429, 'NOTIFY_THROTTLED', false],
  ])('status %i is %s, final: %s', async (status, code, isFinal) => {
    await using server = await WebhookServer.start();
    server.fault = (response) => response.writeHead(status, { 'retry-after': '7' }).end('secret words');
    const error = await refusal(receiver(`http://127.0.0.1:${server.port}`).send(message(), signal));
    expect(error).toMatchObject({ code, isFinal });
    expect(error.message).not.toContain('secret words');
    if (status === 429) expect(error.retryAfterMs).toBe(7000);
  });

  test('nothing is followed elsewhere', async () => {
    await using inner = await WebhookServer.start();
    await using server = await WebhookServer.start();
    server.fault = (response) =>
      response.writeHead(307, { location: `http://127.0.0.1:${inner.port}/` }).end();
    const error = await refusal(receiver(`http://127.0.0.1:${server.port}`).send(message(), signal));
    expect(error).toMatchObject({ code: 'NOTIFY_REFUSED', isFinal: false });
    expect(inner.calls).toEqual([]);
  });

  test('https only to whom somebody vouches for', async () => {
    await using server = await WebhookServer.start({ tls: tls.of('control-api').current });
    const url = `https://127.0.0.1:${server.port}/`;
    expect(await refusal(receiver(url).send(message(), signal))).toMatchObject({ code: 'NOTIFY_TLS' });
    await receiver(url, { requireHttps: true, caFile: join(folder, 'ca.pem') }).send(message(), signal);
    expect(server.calls).toHaveLength(1);
  });

  test('with require_https nothing is sent in the clear', async () => {
    await using server = await WebhookServer.start();
    const to = receiver(`http://127.0.0.1:${server.port}`, { requireHttps: true });
    expect(await refusal(to.send(message(), signal))).toMatchObject({ code: 'NOTIFY_UNCONFIGURED' });
    expect(server.calls).toEqual([]);
  });

  test('a receiver that is not there, one that hangs, one that hangs up', async () => {
    const gone = receiver(`http://127.0.0.1:${await freePort()}/path-with-a-token`);
    const error = await refusal(gone.send(message(), signal));
    expect(error).toMatchObject({ code: 'NOTIFY_UNREACHABLE', maybeDelivered: false });
    expect(error.message).not.toContain('token');

    await using server = await WebhookServer.start();
    const url = `http://127.0.0.1:${server.port}`;
    server.fault = () => {};
    expect(await refusal(receiver(url, { timeoutMs: 200 }).send(message(), signal))).toMatchObject({
      code: 'NOTIFY_UNREACHABLE',
      maybeDelivered: true,
    });
    server.fault = (response) => response.destroy();
    expect(await refusal(receiver(url).send(message(), signal))).toMatchObject({ maybeDelivered: true });
  });
});

describe('telegram', () => {
  const CHAT = '4711';
  let server: TelegramServer;
  beforeAll(async () => {
    server = await TelegramServer.start([CHAT]);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const receiver = (more: Partial<TelegramSettings> = {}, chat = CHAT): Receiver =>
    telegramReceiver(
      {
        ...common,
        ...{ chatIds: [chat], maxFileBytes: 50_000_000, preview: true, apiRoot: server.url },
        ...more,
        token: more.token ?? TOKEN,
      },
      chat,
    );
  const shown = (ref: string) => server.messages.get(Number(ref.split('/')[0]));

  test('words at once, then the still, then the clip, all in one message', async () => {
    const to = receiver();
    const before = server.messages.size;
    let ref = await to.send(message(), signal);
    expect(shown(ref)).toMatchObject({
      kind: 'text',
      words: expect.stringContaining('Person on Porch') as string,
    });
    ref = await to.edit!(ref, message({ text: 'more words' }), signal);
    expect(shown(ref)).toMatchObject({
      kind: 'text',
      words: expect.stringContaining('more words') as string,
    });
    ref = await to.edit!(ref, message({ stillPath: join(folder, 'still.jpg') }), signal);
    expect(shown(ref)).toMatchObject({ kind: 'photo', sha256: sha256Of(STILL) });
    const clipPath = join(folder, 'clip.mp4');
    ref = await to.edit!(ref, message({ clipPath }), signal);
    expect(shown(ref)).toMatchObject({ kind: 'video', sha256: sha256Of(CLIP) });
    ref = await to.edit!(ref, message({ clipPath, text: 'it is over' }), signal);
    expect(shown(ref)).toMatchObject({ kind: 'video', revisions: 5 });
    // To say the same again is no failure.
    expect(await to.edit!(ref, message({ clipPath, text: 'it is over' }), signal)).toBe(ref);
    expect(server.messages.size).toBe(before + 1);
  });

  test('an animated picture comes between still and clip, once; where nobody wants it, never', async () => {
    const to = receiver();
    const stillPath = join(folder, 'still.jpg');
    const previewPath = join(folder, 'preview.gif');
    let ref = await to.send(message({ stillPath }), signal);
    ref = await to.edit!(ref, message({ stillPath, previewPath }), signal);
    expect(shown(ref)).toMatchObject({ kind: 'animation', sha256: sha256Of(PREVIEW) });
    const uploads = server.calls.filter(({ method }) => method === 'editMessageMedia').length;
    // More words do not send it again, and a better still does not take its place.
    ref = await to.edit!(ref, message({ stillPath, previewPath, text: 'and a dog' }), signal);
    ref = await to.edit!(ref, message({ stillPath, text: 'the picture is gone from the disk' }), signal);
    expect(shown(ref)).toMatchObject({ kind: 'animation', sha256: sha256Of(PREVIEW) });
    expect(server.calls.filter(({ method }) => method === 'editMessageMedia')).toHaveLength(uploads);
    ref = await to.edit!(ref, message({ previewPath, clipPath: join(folder, 'clip.mp4') }), signal);
    expect(shown(ref)).toMatchObject({ kind: 'video', sha256: sha256Of(CLIP) });
    const without = receiver({ preview: false });
    expect(shown(await without.send(message({ stillPath, previewPath }), signal))?.kind).toBe('photo');
  });

  test('told late, the clip comes with the first words', async () => {
    const ref = await receiver().send(message({ clipPath: join(folder, 'clip.mp4') }), signal);
    expect(shown(ref)?.kind).toBe('video');
  });

  test('a clip that is too large, or gone, is done without', async () => {
    const clipPath = join(folder, 'clip.mp4');
    const stillPath = join(folder, 'still.jpg');
    const small = receiver({ maxFileBytes: 10_000 });
    expect(shown(await small.send(message({ clipPath, stillPath }), signal))?.kind).toBe('photo');
    const gone = message({ clipPath: join(folder, 'gone.mp4'), stillPath: join(folder, 'gone.jpg') });
    expect(shown(await receiver().send(gone, signal))?.kind).toBe('text');
    server.faults.push({ status: 413, description: 'Request Entity Too Large' });
    expect(shown(await receiver().send(message({ clipPath }), signal))?.kind).toBe('text');
  });

  test('words that are too long are cut, not refused', async () => {
    const ref = await receiver().send(message({ text: 'x'.repeat(5000) }), signal);
    expect(shown(ref)?.words).toHaveLength(4096);
  });

  test('a message that may be a repetition says so', async () => {
    const ref = await receiver().send(message({ isRepeated: true }), signal);
    expect(shown(ref)?.words).toMatch(/^\(again/);
  });

  test.each([
    [{ status: 429, description: 'Too Many Requests', retryAfterS: 11 }, 'NOTIFY_THROTTLED', false, 11_000],
    [{ status: 403, description: 'Forbidden: bot was blocked by the user' }, 'NOTIFY_REFUSED', false, null],
    [{ status: 400, description: 'Bad Request: wrong' }, 'NOTIFY_REFUSED', true, null],
    [{ status: 502, description: 'Bad Gateway' }, 'NOTIFY_FAILED', false, null],
  ])('%j is %s, final: %s', async (fault, code, isFinal, retryAfterMs) => {
    server.faults.push(fault);
    expect(await refusal(receiver().send(message(), signal))).toMatchObject({ code, isFinal, retryAfterMs });
  });

  test('a wrong token, a wrong chat, nobody there: told apart, and the token is in none of the words', async () => {
    const wrong = TOKEN.replace('AA', 'ZZ');
    const errors = [
      await refusal(receiver({ token: wrong }).send(message(), signal)),
      await refusal(receiver({}, '1').send(message(), signal)),
      await refusal(receiver({ apiRoot: `http://127.0.0.1:${await freePort()}` }).send(message(), signal)),
    ];
    expect(errors).toMatchObject([
      { code: 'NOTIFY_UNAUTHORIZED' },
      { code: 'NOTIFY_REFUSED', isFinal: false },
      { code: 'NOTIFY_UNREACHABLE', maybeDelivered: false },
    ]);
    server.faults.push('cut');
    errors.push(await refusal(receiver().send(message(), signal)));
    expect(errors.at(-1)).toMatchObject({ code: 'NOTIFY_UNREACHABLE', maybeDelivered: true });
    for (const error of errors) {
      expect(`${error.message} ${String(error.stack)} ${JSON.stringify(error)}`).not.toMatch(/AAbb|ZZbb/);
    }
  });
});

describe('e-mail', () => {
  interface Mail {
    readonly raw: string;
    readonly to: readonly string[];
    readonly isSecure: boolean;
  }
  const mails: Mail[] = [];

  async function mailServer(more: SMTPServerOptions = {}) {
    const server = new SMTPServer({
      ...tls.of('control-api').current,
      authOptional: true,
      onAuth: ({ username, password }, _session, done) =>
        username === 'attic' && password === 'right' ? done(null, { user: 'attic' }) : done(new Error('no')),
      onData(stream, session, done) {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          mails.push({
            raw: Buffer.concat(chunks).toString(),
            to: session.envelope.rcptTo.map(({ address }) => address),
            isSecure: session.secure,
          });
          done();
        });
      },
      ...more,
    });
    const listening = server.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    return {
      port: (listening.address() as AddressInfo).port,
      async [Symbol.asyncDispose]() {
        await new Promise<void>((resolve) => server.close(resolve));
      },
    };
  }

  const receiver = (port: number, more: Partial<EmailSettings> = {}): Receiver =>
    emailReceiver({
      ...common,
      ...{ port, security: 'starttls', caFile: join(folder, 'ca.pem'), username: 'attic', password: 'right' },
      ...{ from: 'attic@example.net', recipients: ['ada@example.net', 'bob@example.net'] },
      maxAttachmentBytes: 1_000_000,
      preview: true,
      ...more,
      host: more.host ?? '127.0.0.1',
    });

  test('one mail to all, over TLS, with the still; sent again it is the same mail', async () => {
    await using server = await mailServer();
    const to = receiver(server.port);
    mails.length = 0;
    await to.send(message({ stillPath: join(folder, 'still.jpg') }), signal);
    await to.send(message({ isRepeated: true, notice: notice({ revision: 9 }) }), signal);
    const [first, second] = mails;
    expect(first).toMatchObject({ to: ['ada@example.net', 'bob@example.net'], isSecure: true });
    expect(first?.raw).toContain('Subject: Person on Porch, 12:00:00');
    expect(first?.raw.replaceAll(/\s/g, '')).toContain(STILL.toString('base64'));
    const idOf = (mail: Mail | undefined) => /^Message-ID: (.+)$/m.exec(mail?.raw ?? '')?.[1];
    expect(idOf(first)).toBe(idOf(second));
    expect(second?.raw).toContain('may have come before');
  });

  test('an animated picture is shown within the mail', async () => {
    await using server = await mailServer();
    mails.length = 0;
    const previewPath = join(folder, 'preview.gif');
    await receiver(server.port).send(message({ previewPath, text: 'a <b> & c' }), signal);
    const raw = mails[0]?.raw ?? '';
    expect(raw.replaceAll(/\s/g, '')).toContain(PREVIEW.toString('base64'));
    expect(raw).toContain('Content-ID: <preview@spyoncino>');
    expect(raw).toContain('a &lt;b> &amp; c');
    expect(raw).toContain('multipart/alternative');
  });

  test('without TLS, to a stranger, or with a wrong password nothing is sent', async () => {
    mails.length = 0;
    {
      await using plain = await mailServer({ disabledCommands: ['STARTTLS'] });
      expect(await refusal(receiver(plain.port).send(message(), signal))).toMatchObject({
        code: 'NOTIFY_TLS',
      });
    }
    await using server = await mailServer();
    expect(await refusal(receiver(server.port, { caFile: null }).send(message(), signal))).toMatchObject({
      code: 'NOTIFY_TLS',
    });
    const wrong = await refusal(
      receiver(server.port, { password: 'wrong-password' }).send(message(), signal),
    );
    expect(wrong).toMatchObject({ code: 'NOTIFY_UNAUTHORIZED' });
    expect(wrong.message).not.toContain('wrong-password');
    const elsewhere = receiver(server.port, { security: 'none', host: 'mail.example.net' });
    expect(await refusal(elsewhere.send(message(), signal))).toMatchObject({ code: 'NOTIFY_UNCONFIGURED' });
    expect(mails).toEqual([]);
  });

  test('a server that is not there, one that asks to wait, one that does not want the mail', async () => {
    expect(await refusal(receiver(await freePort()).send(message(), signal))).toMatchObject({
      code: 'NOTIFY_UNREACHABLE',
      maybeDelivered: false,
    });
    const refusing = (responseCode: number) =>
      mailServer({
        onData: (stream, _session, done) =>
          stream.on('end', () => done(Object.assign(new Error('no'), { responseCode }))).resume(),
      });
    await using busy = await refusing(451);
    expect(await refusal(receiver(busy.port).send(message(), signal))).toMatchObject({
      code: 'NOTIFY_THROTTLED',
    });
    await using full = await refusing(552);
    expect(await refusal(receiver(full.port).send(message(), signal))).toMatchObject({
      code: 'NOTIFY_REFUSED',
      isFinal: true,
    });
  });
});
