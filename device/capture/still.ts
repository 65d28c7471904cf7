import { CodecParameters, Packet, Rational } from 'node-av/lib';
import { AVMEDIA_TYPE_VIDEO } from 'node-av/constants';
import type { MediaPacket, PixelFrame, VideoTrack } from '../contract/media.ts';
import { Decoder } from './decoder.ts';
import { Picture } from './picture.ts';
import { Scaling } from './scaling.ts';
import { CODEC_IDS } from './stream-config.ts';

/** Contexts for stills come and go with their sizes; there are few, so they are kept for the process. */
const scaling = new Scaling();

/**
 * The picture shown at `utcMs` (the last one that begins by then), out of packets in decode order that begin
 * with a key frame. null when none of them is that early. The caller releases it.
 */
export async function decodeAt(
  video: VideoTrack,
  packets: readonly MediaPacket[],
  utcMs: number,
): Promise<PixelFrame | null> {
  const utcOf = new Map(packets.map((packet) => [packet.pts, packet.utcMs]));
  const generation = packets[0]?.generation ?? 0;
  let found: Picture | null = null;
  const parameters = new CodecParameters();
  parameters.alloc();
  parameters.codecType = AVMEDIA_TYPE_VIDEO;
  parameters.codecId = CODEC_IDS[video.codec];
  parameters.extradata = Buffer.from(video.config);
  parameters.width = video.width;
  parameters.height = video.height;
  using decoder = Decoder.open(parameters, 0, (frame, pts) => {
    const shownUtcMs = utcOf.get(pts);
    if (shownUtcMs === undefined || shownUtcMs > utcMs) return;
    found?.release();
    const mediaMs = (pts * 1000) / video.timescale;
    found = Picture.lend(frame, { generation, mediaMs, utcMs: shownUtcMs }, scaling);
  });
  using packet = new Packet();
  packet.alloc();
  for (const { track, data, pts, dts } of packets) {
    if (track !== 'video') continue;
    packet.data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    packet.pts = BigInt(pts);
    packet.dts = BigInt(dts);
    packet.timeBase = new Rational(1, video.timescale);
    await decoder.decode(packet);
    packet.unref();
  }
  await decoder.flush();
  return found;
}
