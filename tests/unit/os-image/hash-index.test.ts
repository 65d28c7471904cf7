import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashIndex } from '../../../os-image/build/hash-index.ts';

test('each whole block has its hash, in order', () => {
  const block = fc.uint8Array({ minLength: 4096, maxLength: 4096 });
  fc.assert(
    fc.property(fc.array(block, { maxLength: 4 }), fc.uint8Array({ maxLength: 4095 }), (blocks, rest) => {
      const wanted = blocks.map((bytes) => createHash('sha256').update(bytes).digest('hex')).join('');
      expect(hashIndex(Buffer.concat([...blocks, rest])).toString('hex')).toBe(wanted);
    }),
    { numRuns: 20 },
  );
});
