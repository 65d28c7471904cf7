import type { AudioTrack, VideoTrack } from '../../contract/media.ts';
import type { BoxWriter } from './boxes.ts';

/** VisualSampleEntry (ISO/IEC 14496-12 §12.1.3) with the decoder configuration of ISO/IEC 14496-15. */
export function writeVideoEntry(out: BoxWriter, track: VideoTrack): void {
  const [entry, configBox] = track.codec === 'h264' ? ['avc1', 'avcC'] : ['hvc1', 'hvcC'];
  out.box(entry, () => {
    out.zeros(6).u16(1);
    out.zeros(16).u16(track.width).u16(track.height);
    out.u32(0x0048_0000).u32(0x0048_0000).zeros(4);
    out.u16(1).zeros(32).u16(0x0018).u16(0xffff);
    out.box(configBox, () => out.bytes(track.config));
  });
}

const AUDIO_ENTRIES = { aac: 'mp4a', opus: 'Opus', pcm_alaw: 'alaw', pcm_mulaw: 'ulaw' } as const;

/** AudioSampleEntry (ISO/IEC 14496-12 §12.2.3). */
export function writeAudioEntry(out: BoxWriter, track: AudioTrack): void {
  out.box(AUDIO_ENTRIES[track.codec], () => {
    out.zeros(6).u16(1);
    out.zeros(8).u16(track.channels).u16(16).zeros(4);
    // 16.16 fixed point: rates of 65536 Hz and more do not fit, the codec's own configuration says them.
    out.u16(track.sampleRate < 65_536 ? track.sampleRate : 0).u16(0);
    if (track.codec === 'aac') writeElementaryStreamDescriptor(out, track.config);
    if (track.codec === 'opus') out.box('dOps', () => out.bytes(track.config));
  });
}

const ES_DESCRIPTOR = 3;
const DECODER_CONFIG = 4;
const DECODER_SPECIFIC_INFO = 5;
const SL_CONFIG = 6;
const AAC = 0x40;
const AUDIO_STREAM = 0x15;

/** `esds`: ISO/IEC 14496-14 §5.6 around ISO/IEC 14496-1 §7.2.6. Bit rates are left unknown (0). */
function writeElementaryStreamDescriptor(out: BoxWriter, config: Uint8Array): void {
  out.fullBox('esds', 0, 0, () => {
    writeDescriptor(out, ES_DESCRIPTOR, () => {
      out.u16(0).u8(0);
      writeDescriptor(out, DECODER_CONFIG, () => {
        out.u8(AAC).u8(AUDIO_STREAM).zeros(3).u32(0).u32(0);
        writeDescriptor(out, DECODER_SPECIFIC_INFO, () => out.bytes(config));
      });
      // SL packet header "reserved for use in MP4 files"
      writeDescriptor(out, SL_CONFIG, () => out.u8(2));
    });
  });
}

/** The length takes the 4-byte form, which holds any size, so that it can be filled in afterwards. */
function writeDescriptor(out: BoxWriter, tag: number, body: () => void): void {
  out.u8(tag);
  const at = out.length;
  out.u32(0);
  body();
  const size = out.length - at - 4;
  const sevenBits = (shift: number): number => (size >> shift) & 0x7f;
  out.setU32(
    at,
    (0x80 + sevenBits(21)) * 2 ** 24 +
      (0x80 + sevenBits(14)) * 2 ** 16 +
      (0x80 + sevenBits(7)) * 2 ** 8 +
      sevenBits(0),
  );
}
