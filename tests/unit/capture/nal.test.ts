import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitAnnexB, splitLengthPrefixed, toLengthPrefixed } from '../../../device/capture/nal.ts';

/** Any payload that a NAL unit can have: no start code inside (emulation prevention), no zero at its end. */
const nal = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 ? 3 : byte))));
const startCode = fc.constantFrom(Buffer.from([0, 0, 1]), Buffer.from([0, 0, 0, 1]));
const stream = fc.array(fc.tuple(startCode, nal), { minLength: 1, maxLength: 8 });

test('Annex B and length-prefixed forms hold the same NAL units', () => {
  fc.assert(
    fc.property(stream, (units) => {
      const bytes = Buffer.concat(units.flat());
      const sample = toLengthPrefixed(bytes, splitAnnexB(bytes));
      const payloads = splitLengthPrefixed(sample, 4).map(({ start, end }) => sample.subarray(start, end));
      expect(payloads).toEqual(units.map(([, payload]) => payload));
      expect(sample.length).toBe(units.reduce((sum, [, { length }]) => sum + 4 + length, 0));
    }),
  );
});

test('with four-byte start codes nothing is copied', () => {
  const bytes = Buffer.from([0, 0, 0, 1, 0x67, 9, 0, 0, 0, 1, 0x65, 8, 7]);
  const sample = toLengthPrefixed(bytes, splitAnnexB(bytes));
  expect(sample).toBe(bytes);
  expect([...sample]).toEqual([0, 0, 0, 2, 0x67, 9, 0, 0, 0, 3, 0x65, 8, 7]);
});

test('bytes that are no stream, and lengths that lie, give no NAL unit beyond the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(1, 2, 4), (noise, lengthBytes) => {
      const bytes = Buffer.from(noise);
      for (const { start, end } of [...splitAnnexB(bytes), ...splitLengthPrefixed(bytes, lengthBytes)]) {
        expect(start).toBeLessThan(end);
        expect(end).toBeLessThanOrEqual(bytes.length);
      }
    }),
  );
});
