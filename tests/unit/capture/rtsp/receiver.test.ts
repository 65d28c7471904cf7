import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startTimes } from '../../../../device/capture/rtsp/open-session.ts';
import { LipSync } from '../../../../device/capture/rtsp/lip-sync.ts';
import { Receiver } from '../../../../device/capture/rtsp/receiver.ts';
import { parseSenderReport, Reception } from '../../../../device/capture/rtsp/rtcp.ts';
import { parseRtp, Unwrapper } from '../../../../device/capture/rtsp/rtp.ts';
import { bytesOf, packetOf, SSRC } from './packets.ts';

function receive(reorders: boolean) {
  const seen: { n: number; timestamp: number; gap: boolean }[] = [];
  const receiver = new Receiver({
    payloadType: 96,
    clockRate: 90_000,
    reorders,
    onPacket: ({ payload }, timestamp, gap) => seen.push({ n: payload.readUInt16BE(), timestamp, gap }),
    onTime: () => {},
  });
  return { receiver, seen };
}

const numbered = (n: number, sequence: number, timestamp: number): Buffer => {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(n);
  return bytesOf(packetOf(payload, { sequence, timestamp }));
};

function senderReport(ntpSeconds: number, timestamp: number): Buffer {
  const report = Buffer.alloc(28);
  report.set([0x80, 200, 0, 6]);
  report.writeUInt32BE(SSRC, 4);
  report.writeUInt32BE(Math.floor(ntpSeconds), 8);
  report.writeUInt32BE(Math.floor((ntpSeconds % 1) * 2 ** 32), 12);
  report.writeUInt32BE(timestamp >>> 0, 16);
  return report;
}

test('numbers and times go on over their wraps', () => {
  const { receiver, seen } = receive(false);
  for (let n = 0; n < 10; n++) receiver.rtp(numbered(n, 65_530 + n, 2 ** 32 - 9000 + n * 3000), 0);
  expect(seen.every(({ gap }) => !gap)).toBe(true);
  const start = seen[0]!.timestamp;
  expect(seen.map(({ timestamp }) => timestamp - start)).toEqual(seen.map((_, n) => n * 3000));
});

test('a number that wraps is followed wherever it goes in small steps', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(16 as const, 32 as const),
      fc.nat(2 ** 32 - 1),
      fc.array(fc.integer({ min: -2000, max: 30_000 })),
      (bits, from, steps) => {
        const unwrapper = new Unwrapper(bits);
        const size = 2 ** bits;
        let value = from % size;
        expect(unwrapper.unwrap(value)).toBe(value);
        for (const step of steps) {
          value += step;
          expect(unwrapper.unwrap(((value % size) + size) % size)).toBe(value);
        }
      },
    ),
  );
});

test('datagrams that overtake one another, or come twice, are put in order', () => {
  const shuffled = fc.integer({ min: 1, max: 60 }).chain((count) =>
    fc.tuple(
      fc.constant(count),
      // Each is late by a few at most.
      fc.array(fc.integer({ min: 0, max: 12 }), { minLength: count, maxLength: count }),
      fc.array(fc.boolean(), { minLength: count, maxLength: count }),
    ),
  );
  fc.assert(
    fc.property(fc.nat(65_535), shuffled, (from, [count, late, twice]) => {
      const { receiver, seen } = receive(true);
      const order = Array.from({ length: count }, (_, n) => n).sort(
        (a, b) => a + late[a]! - (b + late[b]!) || a - b,
      );
      const sent = [...order.filter((n) => n > 0).flatMap((n) => (twice[n] ? [n, n] : [n]))];
      for (const n of [0, ...sent]) receiver.rtp(numbered(n, from + n, n * 10), 0);
      expect(seen).toEqual(Array.from({ length: count }, (_, n) => ({ n, timestamp: n * 10, gap: false })));
    }),
  );
});

test('what never comes is waited for, a little', () => {
  const { receiver, seen } = receive(true);
  receiver.rtp(numbered(0, 0, 0), 0);
  receiver.rtp(numbered(2, 2, 0), 0);
  receiver.rtp(numbered(3, 3, 0), 100);
  expect(seen.map(({ n }) => n)).toEqual([0]);
  receiver.rtp(numbered(4, 4, 0), 250);
  expect(seen).toMatchObject([{ n: 0 }, { n: 2, gap: true }, { n: 3, gap: false }, { n: 4, gap: false }]);
  // Too late.
  receiver.rtp(numbered(1, 1, 0), 260);
  expect(seen).toHaveLength(4);
});

test('another source of the same track counts anew, behind a gap', () => {
  const { receiver, seen } = receive(false);
  receiver.rtp(numbered(0, 7, 0), 0);
  receiver.rtp(bytesOf(packetOf(Buffer.of(0, 1), { sequence: 40_000, ssrc: 9 })), 0);
  receiver.rtp(bytesOf(packetOf(Buffer.of(0, 2), { sequence: 40_001, ssrc: 9 })), 0);
  expect(seen).toMatchObject([
    { n: 0, gap: false },
    { n: 1, gap: true },
    { n: 2, gap: false },
  ]);
});

test('extensions, contributors and padding are no payload', () => {
  const plain = bytesOf(packetOf(Buffer.of(0xaa, 0xbb)));
  const head = Buffer.from(plain.subarray(0, 12));
  head[0] = 0x80 | 0x20 | 0x10 | 2;
  const bytes = Buffer.concat([
    head,
    Buffer.alloc(8),
    Buffer.of(0, 0, 0, 1, 1, 2, 3, 4, 0xaa, 0xbb, 0, 0, 3),
  ]);
  expect(parseRtp(bytes)?.payload).toEqual(Buffer.of(0xaa, 0xbb));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
      const packet = parseRtp(Buffer.from(noise));
      if (packet) expect(packet.payload.length).toBeLessThanOrEqual(noise.length);
      parseSenderReport(Buffer.from(noise));
    }),
  );
});

test('the report tells what arrived and answers the camera (RFC 3550 §6.4)', () => {
  const reception = new Reception(90_000);
  for (const sequence of [10, 11, 13, 14]) reception.packet(SSRC, sequence, sequence * 900, sequence * 10);
  reception.heard(parseSenderReport(senderReport(0x12345678 + 0.5, 0))!, 1000);
  const report = reception.report(7, 1500);
  expect([...report.subarray(0, 4)]).toEqual([0x81, 201, 0, 7]);
  expect(report.readUInt32BE(4)).toBe(7);
  expect(report.readUInt32BE(8)).toBe(SSRC);
  expect(report.readUInt8(12)).toBe(Math.floor(256 / 5));
  expect(report.readUIntBE(13, 3)).toBe(1);
  expect(report.readUInt32BE(16)).toBe(14);
  expect(report.readUInt32BE(20)).toBe(0);
  expect(report.readUInt32BE(24)).toBe(0x56788000);
  expect(report.readUInt32BE(28)).toBe(0x8000);
  // A description of the source follows, and all of it is counted in 32-bit words.
  expect([...report.subarray(32, 36)]).toEqual([0x81, 202, 0, (report.length - 36) / 4]);
});

test('before anything has come, the report is empty', () => {
  expect([...new Reception(90_000).report(7, 0).subarray(0, 8)]).toEqual([0x80, 201, 0, 1, 0, 0, 0, 7]);
});

test('sound is laid where the camera says, however it arrived', () => {
  const [videoTime, audioTime] = [new Unwrapper(32), new Unwrapper(32)];
  const sync = new LipSync(90_000, 48_000);
  const at = (seconds: number, timestamp: number) => ({ seconds, timestamp });
  sync.heard('video', 'play', at(0, 1000), videoTime);
  expect(sync.audio(audioTime.unwrap(5), 0)).toBeNull();
  expect(sync.video(videoTime.unwrap(1000), 100)).toBe(0);
  // So far it is known only that it came 0.3 s after the picture.
  const piece = audioTime.unwrap(5 + 4800);
  expect(sync.audio(piece, 400)).toBe(0.3 * 48_000);
  // Both began to play at once.
  sync.heard('audio', 'play', at(0, 5), audioTime);
  expect(sync.audio(piece, 400)).toBe(0.1 * 48_000);
  sync.heard('video', 'camera', at(5000, 1000), videoTime);
  sync.heard('audio', 'camera', at(5000.25, 5 + 4800), audioTime);
  expect(sync.audio(piece, 400)).toBe(0.25 * 48_000);
  // A clock that is an hour off belongs to something else.
  sync.heard('audio', 'camera', at(9000, 5 + 4800), audioTime);
  expect(sync.audio(piece, 400)).toBe(0.1 * 48_000);
  expect(sync.video(videoTime.unwrap(1000 + 90_000), 1100)).toBe(90_000);
});

test('where a camera begins to play', () => {
  const info =
    'url=rtsp://c/live?a=1,2/track1;seq=5;rtptime=4294967295, url=rtsp://c/live/track2;rtptime=7;seq=9';
  const answer = { status: 200, headers: new Map([['rtp-info', [info]]]), body: '' };
  expect(startTimes(answer)).toEqual([4294967295, 7]);
  expect(startTimes({ ...answer, headers: new Map() })).toEqual([]);
});
