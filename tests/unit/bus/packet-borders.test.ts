import fc from 'fast-check';
import { generate, type Packet } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { PacketBorders } from '../../../device/bus/packet-borders.ts';

const packet: fc.Arbitrary<Packet> = fc.oneof(
  fc.constant<Packet>({ cmd: 'pingreq' }),
  fc
    .record({ topic: fc.stringMatching(/^[a-z]{1,9}$/), payload: fc.string({ maxLength: 2000 }) })
    .map(({ topic, payload }): Packet => ({
      cmd: 'publish',
      qos: 0,
      dup: false,
      retain: false,
      topic,
      payload,
    })),
);

/** Ends of packets in `stream`, which comes in pieces of these sizes. */
function endsIn(stream: Buffer, sizes: readonly number[]): number[] {
  const borders = new PacketBorders();
  const ends: number[] = [];
  const steps = sizes.values();
  for (let offset = 0; offset < stream.length;) {
    const chunk = stream.subarray(offset, offset + (steps.next().value ?? stream.length));
    for (let at = 0; at < chunk.length;) {
      at = borders.advance(chunk, at, 1e9);
      if (borders.isBetweenPackets) ends.push(offset + at);
    }
    offset += chunk.length;
  }
  return ends;
}

test('packets are told apart, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 30 }),
      (packets, sizes) => {
        const parts = packets.map((one) => generate(one));
        let sum = 0;
        const ends = parts.map(({ length }) => (sum += length));
        expect(endsIn(Buffer.concat(parts), sizes)).toEqual(ends);
      },
    ),
  );
});

test.each([
  ['a length beyond the limit', [0x30, 0x81, 0x01], 128],
  ['a length without an end', [0x30, 0xff, 0xff, 0xff, 0xff, 0x01], 1e12],
])('%s is refused by its header alone', (_what, bytes, maxBytes) => {
  expect(() => new PacketBorders().advance(Uint8Array.from(bytes), 0, maxBytes)).toThrow('longer than');
});

test('any bytes at all are packets or are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const borders = new PacketBorders();
      try {
        for (let at = 0; at < bytes.length;) {
          const next = borders.advance(bytes, at, 1000);
          expect(next).toBeGreaterThan(at);
          at = next;
        }
      } catch (error) {
        expect((error as Error).name).toBe('PacketRefused');
      }
    }),
  );
});
