import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isParameterSet, joinAnnexB, nalType, type NalCodec } from '../../../../device/capture/nal.ts';
import { AccessUnits, MAX_UNIT_BYTES } from '../../../../device/capture/rtsp/access-units.ts';
import { nal, packetOf, payloadsOf, type Way } from './packets.ts';

function collect(codec: NalCodec, don = false) {
  const seen = { units: [] as { hex: string; timestamp: number; key: boolean }[], lost: 0 };
  const units = new AccessUnits(
    codec,
    {
      unit: ({ data, timestamp, key }) => seen.units.push({ hex: data.toString('hex'), timestamp, key }),
      lost: () => (seen.lost += 1),
    },
    don,
  );
  return { units, seen };
}

const TYPES = {
  h264: { key: 5, other: 1, sets: [7, 8] },
  hevc: { key: 19, other: 1, sets: [32, 33, 34] },
} as const;

const picture = fc.record({
  key: fc.boolean(),
  slices: fc.array(
    fc.tuple(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.constantFrom<Way>('single', 'fragments', 'aggregate'),
    ),
    { minLength: 1, maxLength: 4 },
  ),
});
type Picture = typeof picture extends fc.Arbitrary<infer T> ? T : never;

function nalsOf(codec: NalCodec, { key, slices }: Picture): [Buffer, Way][] {
  const types = TYPES[codec];
  const sets = key
    ? types.sets.map((type): [Buffer, Way] => [nal(codec, type, Buffer.of(type)), 'aggregate'])
    : [];
  return [
    ...sets,
    ...slices.map(([body, way], index): [Buffer, Way] => [
      nal(codec, key ? types.key : types.other, body, index === 0 ? 0x80 : 0x01),
      way,
    ]),
  ];
}

test.each(['h264', 'hevc'] as const)(
  '%s: pictures come out as they went in, with markers or without',
  (codec) => {
    fc.assert(
      fc.property(
        fc.array(picture, { maxLength: 6 }),
        fc.integer({ min: 1, max: 100 }),
        fc.boolean(),
        (pictures, size, markers) => {
          const { units, seen } = collect(codec);
          for (const [index, each] of pictures.entries()) {
            const payloads = payloadsOf(codec, nalsOf(codec, each), size);
            for (const [n, payload] of payloads.entries()) {
              const marker = markers && n === payloads.length - 1;
              units.push(packetOf(payload, { marker }), index * 3000, false);
            }
          }
          const expected = pictures.map((each, index) => ({
            hex: joinAnnexB(nalsOf(codec, each).map(([unit]) => unit)).toString('hex'),
            timestamp: index * 3000,
            key: each.key,
          }));
          // Without markers the last one is not over yet.
          expect(seen.units).toEqual(markers ? expected : expected.slice(0, -1));
          expect(seen.lost).toBe(0);
        },
      ),
    );
  },
);

test.each(['h264', 'hevc'] as const)(
  '%s: of what is lost nothing damaged comes out, and the rest does',
  (codec) => {
    fc.assert(
      fc.property(
        fc.array(picture, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 60 }),
        fc.func(fc.boolean()),
        (pictures, size, isLost) => {
          const { units, seen } = collect(codec);
          const whole: string[] = [];
          const untouched: string[] = [];
          let gap = false;
          let sequence = 0;
          for (const [index, each] of pictures.entries()) {
            const nals = nalsOf(codec, each);
            const hex = joinAnnexB(nals.map(([unit]) => unit)).toString('hex');
            // Without its parameter sets a picture is what it was, as long as they are those from before.
            const slices = nals.filter(([unit]) => !isParameterSet(codec, nalType(codec, unit[0]!)));
            whole.push(hex, joinAnnexB(slices.map(([unit]) => unit)).toString('hex'));
            let isUntouched = !gap;
            const payloads = payloadsOf(codec, nals, size);
            for (const [n, payload] of payloads.entries()) {
              if (isLost(sequence++)) {
                gap = true;
                isUntouched = false;
                continue;
              }
              units.push(packetOf(payload, { marker: n === payloads.length - 1 }), index * 3000, gap);
              gap = false;
            }
            if (isUntouched) untouched.push(hex);
          }
          const got = seen.units.map(({ hex }) => hex);
          for (const hex of got) expect(whole).toContain(hex);
          expect(got.length).toBeGreaterThanOrEqual(untouched.length);
          for (const hex of untouched) expect(got).toContain(hex);
        },
      ),
    );
  },
);

test('a key frame that comes after a gap, but whole, is not given up', () => {
  const { units, seen } = collect('h264');
  const [sps, idr] = [nal('h264', 7, Buffer.of(1)), nal('h264', 5, Buffer.of(2))];
  units.push(packetOf(payloadsOf('h264', [[sps, 'single']], 9)[0]!), 0, true);
  units.push(packetOf(idr, { marker: true }), 0, false);
  expect(seen).toEqual({
    units: [{ hex: joinAnnexB([sps, idr]).toString('hex'), timestamp: 0, key: true }],
    lost: 0,
  });
});

test('parameter sets that come alone, with a marker of their own, belong to the picture after them', () => {
  const { units, seen } = collect('h264');
  const [sps, pps, idr] = [
    nal('h264', 7, Buffer.of(1)),
    nal('h264', 8, Buffer.of(2)),
    nal('h264', 5, Buffer.of(3)),
  ];
  units.push(packetOf(sps, { marker: true }), 0, false);
  units.push(packetOf(pps, { marker: true }), 0, false);
  units.push(packetOf(idr, { marker: true }), 3000, false);
  expect(seen.units).toEqual([
    { hex: joinAnnexB([sps, pps, idr]).toString('hex'), timestamp: 3000, key: true },
  ]);
});

test('HEVC with decoding order numbers', () => {
  const { units, seen } = collect('hevc', true);
  const slice = nal('hevc', 1, Buffer.of(1, 2, 3, 4));
  const don = Buffer.of(0, 7);
  const single = Buffer.concat([slice.subarray(0, 2), don, slice.subarray(2)]);
  units.push(packetOf(single, { marker: true }), 0, false);
  const size = Buffer.of(0, slice.length);
  const both = Buffer.concat([Buffer.of(48 << 1, 1), don, size, slice, Buffer.of(0), size, slice]);
  units.push(packetOf(both, { marker: true }), 3000, false);
  const head = [49 << 1, 1];
  units.push(packetOf(Buffer.concat([Buffer.of(...head, 0x81), don, slice.subarray(2, 4)])), 6000, false);
  units.push(
    packetOf(Buffer.concat([Buffer.of(...head, 0x41), slice.subarray(4)]), { marker: true }),
    6000,
    false,
  );
  const one = joinAnnexB([slice]).toString('hex');
  expect(seen.units.map(({ hex }) => hex)).toEqual([one, one + one, one]);
});

test('a picture without end is given up, and the next one comes', () => {
  const { units, seen } = collect('h264');
  const part = Buffer.concat([Buffer.of(0x7c, 0x01), Buffer.alloc(60_000)]);
  units.push(packetOf(Buffer.of(0x7c, 0x81, 0x80)), 0, false);
  for (let bytes = 0; bytes < MAX_UNIT_BYTES + 1e6; bytes += 60_000) units.push(packetOf(part), 0, false);
  const slice = nal('h264', 1, Buffer.of(1));
  units.push(packetOf(slice, { marker: true }), 3000, false);
  expect(seen.lost).toBe(1);
  expect(seen.units).toHaveLength(1);
});

test('whatever payloads come, nothing is thrown', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<NalCodec>('h264', 'hevc'),
      fc.boolean(),
      fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.boolean(), fc.nat(3), fc.boolean())),
      (codec, don, payloads) => {
        const { units } = collect(codec, don);
        for (const [bytes, marker, time, gap] of payloads)
          units.push(packetOf(Buffer.from(bytes), { marker }), time, gap);
      },
    ),
  );
});
