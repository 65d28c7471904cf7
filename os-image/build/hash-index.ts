/** RAUC's block hash indexes of what a disk is flashed with. Only a hint: RAUC hashes each block again that it takes by one. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const BLOCK_BYTES = 4096;

/** SHA-256 of each whole block of 4 KiB, one after the other. */
export function hashIndex(image: Buffer): Buffer {
  const hashes = [];
  for (let at = 0; at + BLOCK_BYTES <= image.length; at += BLOCK_BYTES)
    hashes.push(
      createHash('sha256')
        .update(image.subarray(at, at + BLOCK_BYTES))
        .digest(),
    );
  return Buffer.concat(hashes);
}

/** Beside the images of a slot: of each, and that of a slot which holds nothing yet. */
export function writeHashIndexes(slotDir: string): void {
  for (const name of ['root', 'boot'])
    writeFileSync(`${slotDir}/${name}.index`, hashIndex(readFileSync(`${slotDir}/${name}.img`)));
  // Not of no block at all: that RAUC cannot read.
  writeFileSync(`${slotDir}/empty.index`, hashIndex(Buffer.alloc(BLOCK_BYTES)));
}
