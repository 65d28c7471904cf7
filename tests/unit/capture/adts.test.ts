import fc from 'fast-check';
import { expect, test } from 'vitest';
import { audioSpecificConfig, withoutAdts } from '../../../device/capture/adts.ts';

/** A frame with its header; `crc`: with a checksum behind it. */
function adts(payload: Uint8Array, crc: boolean): Uint8Array {
  const header = crc ? 9 : 7;
  const length = header + payload.length;
  const out = new Uint8Array(length);
  out.set([
    0xff,
    crc ? 0xf0 : 0xf1,
    0x4c,
    0x40 | (length >> 11),
    (length >> 3) & 0xff,
    ((length & 7) << 5) | 0x1f,
    0xfc,
  ]);
  out.set(payload, header);
  return out;
}

test('a header is taken off, and nothing else is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 2000 }), fc.boolean(), (payload, crc) => {
      expect(withoutAdts(adts(payload, crc))).toEqual(payload);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), (raw) => {
      fc.pre((raw[0] ?? 0) >> 5 !== 7);
      expect(withoutAdts(raw)).toBe(raw);
    }),
  );
});

test('a header that tells of another length is no header', () => {
  const cut = adts(new Uint8Array(20), false).subarray(0, 20);
  expect(withoutAdts(cut)).toBe(cut);
});

test.each([
  // As FFmpeg's encoder writes them into MP4.
  ['LC, 48 kHz, mono', 1, 48_000, 1, '1188'],
  ['LC, 44.1 kHz, stereo', 1, 44_100, 2, '1210'],
  ['LC, 8 kHz, mono', 1, 8000, 1, '1588'],
  ['HE-AAC is announced by its core', 4, 48_000, 2, '1310'],
  ['unknown is taken for LC', -99, 16_000, 1, '1408'],
])('AudioSpecificConfig: %s', (_, profile, rate, channels, hex) => {
  expect(Buffer.from(audioSpecificConfig(profile, rate, channels) ?? []).toString('hex')).toBe(hex);
});

test('what cannot be written in two bytes is left out', () => {
  expect(audioSpecificConfig(1, 12_345, 1)).toBeNull();
  expect(audioSpecificConfig(1, 48_000, 0)).toBeNull();
  expect(audioSpecificConfig(1, 48_000, 9)).toBeNull();
});
