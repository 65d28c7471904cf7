import fc from 'fast-check';
import { expect, test } from 'vitest';
import { h264ReorderDepth } from '../../../device/capture/h264-sps.ts';

const sps = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

test('an encoder with B-frames, some of which others refer to', () => {
  // High profile, with timing: two pictures may be held back.
  expect(h264ReorderDepth(sps('6764000cacd94141fb01100000001000000280f1429960'))).toBe(2);
});

test('order of output that is order of decoding needs no restriction', () => {
  // Baseline, pic_order_cnt_type 2, no VUI.
  expect(h264ReorderDepth(sps('6742c01e9a740a0fc8'))).toBe(0);
});

test('whatever stands there, there is a depth of 0 to 16, or it makes no sense', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        const depth = h264ReorderDepth(bytes);
        expect(depth >= 0 && depth <= 16).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
  );
});
