import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeHead,
  FrameError,
  FrameReader,
  type Frame,
  type FrameLimits,
} from '../../../device/detect/frames.ts';

const PART_BYTES = 12;
const limits: FrameLimits = { headerBytes: 400, parts: 3, partBytes: () => PART_BYTES };

/** All bytes of one message. */
const encode = (header: object, parts: readonly Uint8Array[] = []): Buffer =>
  Buffer.concat([encodeHead(header, parts), ...parts]);
const readAll = (reader: FrameReader, chunks: readonly Uint8Array[]): Frame[] =>
  chunks.flatMap((chunk) => [...reader.push(chunk)]);

const message = fc.record({
  id: fc.nat(),
  parts: fc.array(fc.uint8Array({ minLength: PART_BYTES, maxLength: PART_BYTES }), { maxLength: 3 }),
});

test('messages arrive whole, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (messages, cuts) => {
        const bytes = Buffer.concat(messages.map(({ id, parts }) => encode({ id }, parts)));
        const chunks: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; at += chunks.at(-1)!.length, i++)
          chunks.push(bytes.subarray(at, at + cuts[i % cuts.length]!));
        const frames = readAll(new FrameReader(limits), chunks);
        expect(frames.map(({ header }) => header['id'])).toEqual(messages.map(({ id }) => id));
        expect(frames.map(({ parts }) => parts.map((part) => [...part]))).toEqual(
          messages.map(({ parts }) => parts.map((part) => [...part])),
        );
      },
    ),
  );
});

test('each part owns its memory, so it can be transferred', () => {
  const part = new Uint8Array(PART_BYTES).fill(7);
  const [frame] = readAll(new FrameReader(limits), [encode({}, [part, part])]);
  const [first, second] = frame!.parts;
  expect(first!.buffer.byteLength).toBe(PART_BYTES);
  structuredClone(first!, { transfer: [first!.buffer] });
  expect([...second!]).toEqual([...part]);
});

test('bytes of anybody either make messages or a FrameError, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        for (const { header, parts } of new FrameReader(limits).push(bytes)) {
          expect(typeof header).toBe('object');
          expect(parts.every(({ byteLength }) => byteLength === PART_BYTES)).toBe(true);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
      }
    }),
  );
});

const raw = (text: string): Buffer => {
  const json = Buffer.from(text);
  const head = Buffer.alloc(4);
  head.writeUInt32LE(json.length);
  return Buffer.concat([head, json]);
};

test.each([
  ['an endless header', Buffer.from([0xff, 0xff, 0xff, 0xff])],
  ['an empty header', Buffer.from([0, 0, 0, 0])],
  ['no JSON', raw('{')],
  ['no object', raw('null')],
  ['a list', raw('[]')],
  ['too many parts', raw('{"parts":[12,12,12,12]}')],
  ['a huge part', raw('{"parts":[4294967296]}')],
  ['a negative part', raw('{"parts":[-1]}')],
  ['parts that are no list', raw('{"parts":{"length":1}}')],
])('%s is refused', (_, bytes) => {
  expect(() => readAll(new FrameReader(limits), [bytes])).toThrow(FrameError);
});
