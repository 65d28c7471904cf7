import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_BODY_BYTES, MAX_HEAD_BYTES } from '../../../../device/capture/rtsp/message.ts';
import { Wire } from '../../../../device/capture/rtsp/wire.ts';
import { CodedError } from '../../../../device/contract/errors.ts';

type Heard = ['frame', number, string] | ['message', number | null, string, string];

function listen(): { wire: Wire; heard: Heard[] } {
  const heard: Heard[] = [];
  const wire = new Wire({
    frame: (channel, payload) => heard.push(['frame', channel, payload.toString('hex')]),
    message: ({ status, headers, body }) =>
      heard.push(['message', status, headers.get('cseq')?.join() ?? '', body]),
  });
  return { wire, heard };
}

const frame = (channel: number, payload: Uint8Array): Buffer => {
  const head = Buffer.from([0x24, channel, 0, 0]);
  head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
};
const answer = (cseq: number, body: string, lineEnd = '\r\n'): Buffer =>
  Buffer.from(
    ['RTSP/1.0 200 OK', `CSeq: ${cseq}`, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join(
      lineEnd,
    ),
  );

const first = answer(1, 'v=0');
const thing = fc.oneof(
  fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 400 })).map(([channel, bytes]) => ({
    bytes: frame(channel, bytes),
    heard: ['frame', channel, Buffer.from(bytes).toString('hex')] as Heard,
  })),
  fc
    .tuple(fc.nat(999), fc.string({ unit: 'grapheme', maxLength: 60 }), fc.constantFrom('\r\n', '\n'))
    .map(([cseq, body, lineEnd]) => ({
      bytes: answer(cseq, body, lineEnd),
      heard: ['message', 200, String(cseq), body] as Heard,
    })),
  fc.constant({
    bytes: Buffer.from('OPTIONS rtsp://camera/ RTSP/1.0\r\nCSeq: 7\r\n\r\n'),
    heard: ['message', null, '7', ''] as Heard,
  }),
);

test('however the bytes are cut into pieces, the same things are heard', () => {
  fc.assert(
    fc.property(
      fc.array(thing),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }),
      (things, cuts) => {
        const { wire, heard } = listen();
        const bytes = Buffer.concat([first, ...things.map((each) => each.bytes)]);
        for (let at = 0, n = 0; at < bytes.length; n++) {
          // The reader's buffer is used again: what is kept must be a copy.
          const piece = Buffer.from(bytes.subarray(at, (at += cuts[n % cuts.length]!)));
          wire.push(piece);
          piece.fill(0xff);
        }
        expect(heard).toEqual([['message', 200, '1', 'v=0'], ...things.map((each) => each.heard)]);
        expect(wire.pendingBytes).toBe(0);
      },
    ),
  );
});

test('whatever a server sends, there is at most a coded error, and little is kept', () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 3000 }),
    fc
      .constantFrom('$', 'RTSP/', 'RTSP/1.0 200 OK\r\n', 'Content-Length: 9', '\r\n\r\n')
      .map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.boolean(), fc.array(noise, { maxLength: 60 }), (begun, pieces) => {
      const { wire } = listen();
      try {
        if (begun) wire.push(first);
        for (const piece of pieces) {
          wire.push(Buffer.from(piece));
          expect(wire.pendingBytes).toBeLessThanOrEqual(MAX_HEAD_BYTES + MAX_BODY_BYTES + 65_540);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(CodedError);
        expect(error).toMatchObject({ code: 'CAMERA_INPUT_INVALID' });
      }
    }),
  );
});

test('what is no RTSP server is known by its first bytes', () => {
  expect(() => listen().wire.push(Buffer.from('220 mail.example ESMTP\r\n'))).toThrow('no RTSP server');
});

test('bytes between frames are looked past, but not for ever', () => {
  const { wire, heard } = listen();
  wire.push(first);
  wire.push(
    Buffer.concat([
      Buffer.alloc(100, 0x41),
      frame(0, Buffer.of(1, 2)),
      Buffer.from('Rubbish'),
      frame(1, Buffer.of(3)),
    ]),
  );
  expect(heard.slice(1)).toEqual([
    ['frame', 0, '0102'],
    ['frame', 1, '03'],
  ]);
  expect(() => {
    for (let n = 0; n < 70; n++) wire.push(Buffer.alloc(1000, 0x41));
  }).toThrow('what is not RTSP');
});

test.each([
  ['headers without end', Buffer.from(`RTSP/1.0 200 OK\r\n${'X: y\r\n'.repeat(5000)}`)],
  ['a line without end', Buffer.from(`RTSP/1.0 200 OK${' '.repeat(20_000)}`)],
  ['a body of a gigabyte', Buffer.from('RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n')],
  ['a body of a negative size', Buffer.from('RTSP/1.0 200 OK\r\nContent-Length: -5\r\n\r\n')],
  ['a status that is none', Buffer.from('RTSP/1.0 OK\r\n\r\n')],
])('%s is refused', (_, bytes) => {
  expect(() => listen().wire.push(bytes)).toThrow(CodedError);
});
