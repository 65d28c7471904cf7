import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Tally } from '../../../device/capture/tally.ts';
import { noMeter, type Meter } from '../../../device/contract/metrics.ts';

function counting(): { meter: Meter; sums: Map<string, number>; calls: () => number } {
  const sums = new Map<string, number>();
  let calls = 0;
  const meter: Meter = {
    ...noMeter,
    count(name, labels, by = 1) {
      expect(labels).toEqual({ role: 'main', track: 'video' });
      sums.set(name, (sums.get(name) ?? 0) + by);
      calls += 1;
    },
  };
  return { meter, sums, calls: () => calls };
}

test('no packet is forgotten or counted twice', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 100_000 }), { minLength: 1, maxLength: 100 }), (sizes) => {
      const { meter, sums, calls } = counting();
      {
        using tally = new Tally(meter, 'main', 'video');
        for (const size of sizes) tally.add(size);
      }
      expect(sums.get('spyoncino_packets_total')).toBe(sizes.length);
      expect(sums.get('spyoncino_packet_bytes_total')).toBe(sizes.reduce((sum, size) => sum + size, 0));
      expect(calls()).toBeLessThanOrEqual(2 * (2 + sizes.length / 16));
    }),
  );
});

test('the first packet is told at once', () => {
  const { meter, sums } = counting();
  using tally = new Tally(meter, 'main', 'video');
  tally.add(7);
  expect(sums.get('spyoncino_packets_total')).toBe(1);
});
