import { Codec, CodecContext, Packet, Rational, type Frame } from 'node-av/lib';
import {
  AV_CODEC_FLAG_QSCALE,
  AV_CODEC_ID_MJPEG,
  AV_PIX_FMT_YUVJ420P,
  AVCOL_RANGE_JPEG,
  FF_QP2LAMBDA,
} from 'node-av/constants';
import { check } from './ffmpeg.ts';
import type { Scaling } from './scaling.ts';

/** 2 (best) … 31: about what a camera's own snapshots have. */
const QUANTISER = 3;

/** The whole picture as baseline JPEG. */
export async function encodeJpeg(picture: Frame, scaling: Scaling): Promise<Uint8Array> {
  using frame = scaling.convert(picture, picture, AV_PIX_FMT_YUVJ420P);
  frame.colorRange = AVCOL_RANGE_JPEG;
  frame.quality = QUANTISER * FF_QP2LAMBDA;
  frame.pts = 0n;
  const codec = Codec.findEncoder(AV_CODEC_ID_MJPEG);
  if (!codec) throw new Error('this FFmpeg has no JPEG encoder');
  using context = new CodecContext();
  context.allocContext3(codec);
  context.width = frame.width;
  context.height = frame.height;
  context.pixelFormat = AV_PIX_FMT_YUVJ420P;
  context.colorRange = AVCOL_RANGE_JPEG;
  context.timeBase = new Rational(1, 1000);
  context.setFlags(AV_CODEC_FLAG_QSCALE);
  context.globalQuality = QUANTISER * FF_QP2LAMBDA;
  context.threadCount = 1;
  check(await context.open2(codec, null), 'opening the JPEG encoder');
  using packet = new Packet();
  packet.alloc();
  check(await context.sendFrame(frame), 'encoding a still');
  check(await context.sendFrame(null), 'encoding a still');
  check(await context.receivePacket(packet), 'encoding a still');
  return Uint8Array.from(packet.data ?? []);
}
