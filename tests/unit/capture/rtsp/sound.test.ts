import fc from 'fast-check';
import { expect, test } from 'vitest';
import { aacReader, opusReader, pcmReader, type AacFormat } from '../../../../device/capture/rtsp/sound.ts';

const hbr: AacFormat = { sizeLength: 13, indexLength: 3, indexDeltaLength: 3, frameTicks: 1024 };

/** AAC-hbr: 16 bits of header a frame (RFC 3640 §3.3.6). */
function hbrPayload(sizes: readonly number[], data: Uint8Array): Buffer {
  const head = Buffer.alloc(2 + 2 * sizes.length);
  head.writeUInt16BE(16 * sizes.length, 0);
  sizes.forEach((size, index) => head.writeUInt16BE(size << 3, 2 + 2 * index));
  return Buffer.concat([head, data]);
}

const frames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 6 });

test('frames of AAC that share a packet come out one by one', () => {
  fc.assert(
    fc.property(frames, (all) => {
      const payload = hbrPayload(
        all.map(({ length }) => length),
        Buffer.concat(all),
      );
      const pieces = aacReader(hbr)(payload, 5000, true, false);
      expect(pieces).toEqual(
        all.map((data, n) => ({ data: Buffer.from(data), timestamp: 5000 + n * 1024, duration: 1024 })),
      );
    }),
  );
});

test('a frame of AAC that comes in several packets is put together; one with a hole is not', () => {
  const frame = Buffer.from(Array.from({ length: 50 }, (_, n) => n));
  const parts = [frame.subarray(0, 20), frame.subarray(20, 40), frame.subarray(40)];
  const read = (lost: number) => {
    const reader = aacReader(hbr);
    return parts.flatMap((part, n) =>
      n === lost ? [] : reader(hbrPayload([50], part), 0, n === 2, n === lost + 1 && lost >= 0),
    );
  };
  expect(read(-1)).toEqual([{ data: frame, timestamp: 0, duration: 1024 }]);
  for (const lost of [0, 1, 2]) expect(read(lost)).toEqual([]);
});

test('G.711 lasts as long as it has samples', () => {
  expect(pcmReader(2)(Buffer.alloc(320), 7, false, false)).toMatchObject([{ timestamp: 7, duration: 160 }]);
  expect(pcmReader(1)(Buffer.alloc(0), 7, false, false)).toEqual([]);
});

test.each([
  ['20 ms of CELT', [0x98], 960],
  ['one frame of 20 ms, full band', [0xf8], 960],
  ['two frames of 10 ms, hybrid', [(12 << 3) | 1], 960],
  ['three frames of 60 ms, SILK', [(3 << 3) | 3, 3], 8640],
])('Opus: %s', (_, packet, duration) => {
  expect(opusReader()(Buffer.from(packet), 0, true, false)).toMatchObject([{ duration }]);
});

test('whatever payloads come, nothing is thrown and nothing grows', () => {
  const readers = [
    aacReader(hbr),
    aacReader({ sizeLength: 16, indexLength: 0, indexDeltaLength: 0, frameTicks: 960 }),
    opusReader(),
    pcmReader(1),
  ];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.uint8Array({ maxLength: 30 }), fc.boolean(), fc.boolean())),
      (payloads) => {
        for (const read of readers) {
          for (const [bytes, marker, gap] of payloads) {
            for (const { data, duration } of read(Buffer.from(bytes), 0, marker, gap)) {
              expect(data.length).toBeLessThanOrEqual(8192);
              expect(duration).toBeGreaterThan(0);
            }
          }
        }
      },
    ),
  );
});
