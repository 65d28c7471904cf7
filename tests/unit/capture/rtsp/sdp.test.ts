import fc from 'fast-check';
import { expect, test } from 'vitest';
import { controlUri } from '../../../../device/capture/rtsp/open-session.ts';
import { parseSdp } from '../../../../device/capture/rtsp/sdp.ts';
import { chooseTracks } from '../../../../device/capture/rtsp/tracks.ts';

const sdp = (...lines: string[]): string =>
  ['v=0', 'o=- 0 0 IN IP4 0.0.0.0', 's=-', 't=0 0', ...lines, ''].join('\r\n');

const dome = sdp(
  'a=control:rtsp://10.0.0.5:554/stream/main/',
  'm=video 0 RTP/AVP 96',
  'b=AS:4000',
  'a=framerate:25.000000',
  'a=rtpmap:96 H264/90000',
  'a=fmtp:96 profile-level-id=4D0029; packetization-mode=1;sprop-parameter-sets=Z00AKZY1QPAET8s3AQEBQAAAAwBAAAAMoQ==,aO48gA==',
  'a=control:trackID=1',
  'a=recvonly',
  'm=audio 0 RTP/AVP 8',
  'a=control:trackID=2',
  'a=rtpmap:8 PCMA/8000',
  'm=application 0 RTP/AVP 107',
  'a=rtpmap:107 vnd.onvif.metadata/90000',
);
const bullet = sdp(
  'm=video 0 RTP/AVP 98',
  'a=rtpmap:98 H265/90000',
  'a=fmtp:98 sprop-vps=QAEMAf//AWAAAAMAsAAAAwAAAwB4rAk=;sprop-sps=QgEBAWAAAAMAsAAAAwAAAwB4oAPAgBDljbkkyRI=;sprop-pps=RAHA4w8CIA==',
  'a=control:streamid=0',
  'm=audio 0 RTP/AVP 97',
  'a=rtpmap:97 MPEG4-GENERIC/16000/1',
  'a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408',
  'a=control:streamid=1',
);

test('a camera of the kind with H.264 and G.711', () => {
  const session = parseSdp(dome);
  expect(session.control).toBe('rtsp://10.0.0.5:554/stream/main/');
  expect(session.media.map(({ type, control }) => [type, control])).toEqual([
    ['video', 'trackID=1'],
    ['audio', 'trackID=2'],
    ['application', null],
  ]);
  expect(chooseTracks(session, true)).toMatchObject({
    video: { codec: 'h264', clockRate: 90_000, media: { fps: 25, payloadType: 96 } },
    audio: { track: { codec: 'pcm_alaw', sampleRate: 8000, channels: 1 } },
  });
  const offer = chooseTracks(session, false);
  expect('video' in offer && offer.video.parameterSets.map((set) => set[0])).toEqual([0x67, 0x68]);
  expect(offer).toMatchObject({ audio: null });
});

test('a camera of the kind with H.265 and AAC', () => {
  const offer = chooseTracks(parseSdp(bullet.replaceAll('\r\n', '\n')), true);
  expect(offer).toMatchObject({
    video: { codec: 'hevc', don: false, media: { fps: null } },
    audio: {
      track: { codec: 'aac', config: Uint8Array.of(0x14, 0x08), sampleRate: 16_000, timescale: 16_000 },
    },
  });
  expect('video' in offer && offer.video.parameterSets.map((set) => (set[0]! >> 1) & 63)).toEqual([
    32, 33, 34,
  ]);
});

test('payload types of RFC 3551 need no description, and Opus always counts 48,000', () => {
  const video = ['m=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000'];
  expect(chooseTracks(parseSdp(sdp(...video, 'm=audio 0 RTP/AVP 0')), true)).toMatchObject({
    video: { parameterSets: [] },
    audio: { track: { codec: 'pcm_mulaw', sampleRate: 8000 } },
  });
  expect(
    chooseTracks(parseSdp(sdp(...video, 'm=audio 0 RTP/AVP 101', 'a=rtpmap:101 opus/48000/2')), true),
  ).toMatchObject({ audio: { track: { codec: 'opus', sampleRate: 48_000, channels: 2 } } });
  // Sound that is not recorded is not asked for.
  expect(
    chooseTracks(parseSdp(sdp(...video, 'm=audio 0 RTP/AVP 9', 'a=rtpmap:9 G722/8000')), true),
  ).toMatchObject({ audio: null });
});

test.each([
  ['JPEG', ['m=video 0 RTP/AVP 26'], 'payload type 26'],
  ['encrypted', ['m=video 0 RTP/SAVP 96', 'a=rtpmap:96 H264/90000'], 'RTP/SAVP'],
  ['another codec', ['m=video 0 RTP/AVP 96', 'a=rtpmap:96 VP8/90000'], 'vp8'],
  [
    'interleaved',
    ['m=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'a=fmtp:96 packetization-mode=2'],
    'interleaved H.264',
  ],
  [
    'LATM',
    ['m=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'm=audio 0 RTP/AVP 97', 'a=rtpmap:97 MP4A-LATM/44100'],
    'MP4A-LATM',
  ],
  ['no video', ['m=audio 0 RTP/AVP 0'], 'no video'],
])('%s is left to FFmpeg', (_, lines, foreign) => {
  expect(chooseTracks(parseSdp(sdp(...lines)), true)).toEqual({ foreign });
});

test('whatever is described, it is read or left alone, never an error', () => {
  const token = fc.constantFrom(
    ...[
      'm=video 0 RTP/AVP 96',
      'a=rtpmap:96 ',
      'H264/90000',
      'a=fmtp:96 ',
      'sprop-parameter-sets=',
      ',',
      ';',
      '=',
    ],
    ...[
      'a=control:',
      '\r\n',
      '\n',
      'a=framerate:',
      'm=audio 0 RTP/AVP 97',
      'a=rtpmap:97 mpeg4-generic/',
      '/',
      '9',
    ],
    ...['a=fmtp:97 mode=AAC-hbr;config=', '11', 'sizelength=99999999999', 'm=', 'a='],
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(token, fc.string({ maxLength: 8 }))), (parts) => {
      chooseTracks(parseSdp(parts.join('')), true);
    }),
  );
});

test.each([
  ['rtsp://c/live/', 'trackID=1', 'rtsp://c/live/trackID=1'],
  ['rtsp://c/live', 'trackID=1', 'rtsp://c/live/trackID=1'],
  ['rtsp://c/live?channel=1', 'track1', 'rtsp://c/live?channel=1/track1'],
  ['rtsp://c/live/', '/track1', 'rtsp://c/live/track1'],
  ['rtsp://c/live', '/track1', 'rtsp://c/live/track1'],
  ['rtsp://c/live', 'RTSP://d/x', 'RTSP://d/x'],
  ['rtsp://c/live', '*', 'rtsp://c/live'],
  ['rtsp://c/live', null, 'rtsp://c/live'],
])('%s and %s make %s', (base, control, uri) => {
  expect(controlUri(base, control)).toBe(uri);
});
