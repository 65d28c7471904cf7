import { randomBytes } from 'node:crypto';
import { Packet } from 'node-av/lib';
import { AV_NOPTS_VALUE } from 'node-av/constants';
import { CodedError } from '../../contract/errors.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { AudioFeed, Feed, Unit, VideoFeed } from '../feed.ts';
import { joinAnnexB } from '../nal.ts';
import { parametersOf } from '../stream-config.ts';
import { AccessUnits } from './access-units.ts';
import type { RtspClient } from './client.ts';
import { LipSync } from './lip-sync.ts';
import {
  addressOf,
  controlUri,
  describe,
  pairOf,
  requireOk,
  setUp,
  startTimes,
  type Described,
} from './open-session.ts';
import { Receiver } from './receiver.ts';
import { chooseTracks, type AudioOffer, type Foreign, type Offer, type VideoOffer } from './tracks.ts';
import { UdpPair } from './udp-pair.ts';

export interface RtspOptions {
  /** With credentials, percent-encoded; `rtsp:`. */
  readonly url: string;
  readonly transport: 'tcp' | 'udp';
  readonly audio: boolean;
  /** How long an answer may take. */
  readonly answerMs: number;
  readonly clock: Clock;
  /** Pictures of which something was missing. */
  readonly onLoss: (pictures: number) => void;
}

/** Receiver reports (RFC 3550 §6.2): some cameras end a session without. */
const REPORT_EVERY_MS = 5000;
/** What has come and was not taken yet; beyond, TCP makes the camera wait, and of UDP is dropped. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const MAX_WAITING_UNITS = 1000;

interface Track {
  readonly receiver: Receiver;
  readonly ssrc: number;
  /** Of interleaved frames: RTP, RTCP. */
  channels: readonly [number, number];
  udp: UdpPair | null;
}

/**
 * A camera that speaks RTSP, read without FFmpeg: a read of the socket gives whole pictures at once, and no promise is
 * made for what is there already.
 */
export class RtspFeed implements Feed {
  readonly video: VideoFeed;
  readonly audio: AudioFeed | null;
  readonly #o: RtspOptions;
  readonly #packet: Packet;
  readonly #tracks: Track[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #waiting: Unit[] = [];
  #waitingBytes = 0;
  /** So much waits that the camera was made to. */
  #held = false;
  #wake: PromiseWithResolvers<Unit | null> | null = null;
  #client: RtspClient | null = null;
  #session: { readonly id: string; readonly uri: string; readonly keepAlive: string } | null = null;
  #playing = false;
  #ended: { readonly error: Error | null } | null = null;

  private constructor(options: RtspOptions, { video, audio }: Offer) {
    this.#o = options;
    this.video = {
      parameters: parametersOf(video.codec, joinAnnexB(video.parameterSets)),
      base: { num: 1, den: video.clockRate },
      fps: video.media.fps,
    };
    this.audio = audio && { track: audio.track, base: { num: 1, den: audio.track.timescale } };
    this.#packet = new Packet();
    this.#packet.alloc();
    const sync = new LipSync(video.clockRate, audio?.track.timescale ?? 1);
    this.#tracks.push(this.#videoTrack(video, sync));
    if (audio) this.#tracks.push(this.#audioTrack(audio, sync));
  }

  /** `Foreign`: not for us. Throws CodedError or the system's error, both when `signal` aborts meanwhile. */
  static async open(options: RtspOptions, signal: AbortSignal): Promise<RtspFeed | Foreign> {
    let client: RtspClient | null = null;
    let feed: RtspFeed | null = null;
    const abort = (): void => client?.destroy(null);
    signal.addEventListener('abort', abort, { once: true });
    try {
      const described = await describe(
        addressOf(options.url),
        {
          frame: (channel, payload) => feed && feed.#frame(channel, payload),
          pieceDone: () => feed?.hasRoom ?? true,
          closed: (error) => feed && feed.#end(error),
        },
        options.answerMs,
        signal,
        (begun) => {
          client = begun;
          if (signal.aborted) abort();
        },
      );
      if ('elsewhere' in described) return { foreign: 'a redirection to another protocol' };
      const offer = chooseTracks(described.session, options.audio);
      if ('foreign' in offer) {
        described.client.end();
        return offer;
      }
      feed = new RtspFeed(options, offer);
      await feed.#play(described, offer);
      return feed;
    } catch (error) {
      (client as RtspClient | null)?.destroy(null);
      await feed?.[Symbol.asyncDispose]();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Whether more may come, for now. */
  get hasRoom(): boolean {
    return this.#waitingBytes <= MAX_WAITING_BYTES && this.#waiting.length <= MAX_WAITING_UNITS;
  }

  next(): Unit | null | Promise<Unit | null> {
    const unit = this.#waiting.shift();
    if (unit) {
      this.#waitingBytes -= unit.byteLength;
      if (this.#held && this.#waiting.length === 0) {
        this.#held = false;
        this.#client?.resume();
      }
      return unit;
    }
    if (!this.#ended) return (this.#wake = Promise.withResolvers()).promise;
    if (this.#ended.error) throw this.#ended.error;
    return null;
  }

  interrupt(): void {
    this.#end(new CodedError('CAMERA_STALLED'));
    this.#waiting.length = this.#waitingBytes = 0;
  }

  async rewind(): Promise<void> {
    throw new Error('a camera has no beginning');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(null);
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    if (this.#session && this.#client) {
      this.#client.tell('TEARDOWN', this.#session.uri, { Session: this.#session.id });
      this.#session = null;
    }
    this.#client?.end();
    for (const { udp } of this.#tracks) await udp?.[Symbol.asyncDispose]();
    this.#packet.free();
  }

  async #play({ client, session, base, keepAliveMethod }: Described, offer: Offer): Promise<void> {
    this.#client = client;
    const media = [offer.video.media, ...(offer.audio ? [offer.audio.media] : [])];
    const uri = controlUri(base, session.control);
    let id: string | null = null;
    let timeoutS = Infinity;
    for (const [index, track] of this.#tracks.entries()) {
      const answer = await setUp(
        client,
        controlUri(base, media[index]!.control),
        await this.#transportOf(track, client, index),
        id,
      );
      id = answer.sessionId;
      timeoutS = Math.min(timeoutS, answer.timeoutS);
      this.#session = { id, uri, keepAlive: keepAliveMethod };
      if (track.udp) {
        const ports = pairOf(answer.transport.get('server_port'), 65_536);
        if (ports) track.udp.open(ports, this.#reportOf(track));
      } else track.channels = pairOf(answer.transport.get('interleaved'), 256) ?? track.channels;
    }
    this.#playing = true;
    const answer = await client.request('PLAY', uri, { Session: id!, Range: 'npt=0.000-' });
    requireOk(answer);
    const starts = startTimes(answer);
    if (starts.length === this.#tracks.length)
      for (const [index, { receiver }] of this.#tracks.entries()) receiver.plays(starts[index]!);
    this.#timers.push(
      setInterval(() => this.#keepAlive(), (timeoutS * 1000) / 2),
      setInterval(() => this.#report(), REPORT_EVERY_MS),
    );
  }

  async #transportOf(track: Track, client: RtspClient, index: number): Promise<string> {
    if (this.#o.transport === 'tcp') {
      track.channels = [2 * index, 2 * index + 1];
      return `RTP/AVP/TCP;unicast;interleaved=${track.channels.join('-')}`;
    }
    const { receiver } = track;
    track.udp = await UdpPair.open(client.peer, {
      rtp: (bytes) => this.hasRoom && receiver.rtp(bytes, this.#o.clock.monotonicMs()),
      rtcp: (bytes) => receiver.rtcp(bytes, this.#o.clock.monotonicMs()),
    });
    return `RTP/AVP;unicast;client_port=${track.udp.rtpPort}-${track.udp.rtpPort + 1}`;
  }

  #videoTrack({ media, codec, clockRate, don }: VideoOffer, sync: LipSync): Track {
    const { clock, onLoss } = this.#o;
    const units = new AccessUnits(
      codec,
      {
        unit: ({ data, timestamp, key }) =>
          this.#add({
            track: 'video',
            data,
            pts: sync.video(timestamp, clock.monotonicMs()),
            duration: 0,
            key,
          }),
        lost: () => onLoss(1),
      },
      don,
    );
    const receiver = new Receiver({
      payloadType: media.payloadType,
      clockRate,
      reorders: this.#o.transport === 'udp',
      onPacket: (packet, timestamp, gap) => units.push(packet, timestamp, gap),
      onTime: (of, shared, time) => sync.heard('video', of, shared, time),
    });
    return newTrack(receiver);
  }

  #audioTrack({ media, track, newReader }: AudioOffer, sync: LipSync): Track {
    const read = newReader();
    const receiver = new Receiver({
      payloadType: media.payloadType,
      clockRate: track.timescale,
      reorders: this.#o.transport === 'udp',
      onPacket: ({ payload, marker }, timestamp, gap) => {
        for (const piece of read(payload, timestamp, marker, gap)) {
          const pts = sync.audio(piece.timestamp, this.#o.clock.monotonicMs());
          if (pts !== null)
            this.#add({ track: 'audio', data: piece.data, pts, duration: piece.duration, key: true });
        }
      },
      onTime: (of, shared, time) => sync.heard('audio', of, shared, time),
    });
    return newTrack(receiver);
  }

  #add(unit: Omit<RtspUnitFields, 'scratch'>): void {
    if (this.#ended) return;
    const made = new RtspUnit({ ...unit, scratch: this.#packet });
    if (this.#wake && this.#waiting.length === 0) {
      this.#wake.resolve(made);
      this.#wake = null;
      return;
    }
    this.#waiting.push(made);
    this.#waitingBytes += made.byteLength;
    this.#held ||= !this.hasRoom;
  }

  #frame(channel: number, payload: Buffer): void {
    for (const { channels, receiver } of this.#tracks) {
      if (channel === channels[0]) receiver.rtp(payload, this.#o.clock.monotonicMs());
      else if (channel === channels[1]) receiver.rtcp(payload, this.#o.clock.monotonicMs());
    }
  }

  /** Before it plays, whoever waits for an answer is told. */
  #end(error: Error | null): void {
    if (this.#ended || !this.#playing) return;
    this.#ended = { error };
    if (error) this.#wake?.reject(error);
    else this.#wake?.resolve(null);
    this.#wake = null;
  }

  #keepAlive(): void {
    if (!this.#session || !this.#client) return;
    const { id, uri, keepAlive } = this.#session;
    // What it answers does not matter, nor whether it does: that it is gone shows by the pictures that stay away.
    this.#client.request(keepAlive, uri, { Session: id }, true).catch(() => {});
  }

  #report(): void {
    for (const track of this.#tracks) {
      if (track.udp) track.udp.sendRtcp(this.#reportOf(track));
      else this.#client?.sendFrame(track.channels[1], this.#reportOf(track));
    }
  }

  #reportOf({ receiver, ssrc }: Track): Buffer {
    return receiver.report(ssrc, this.#o.clock.monotonicMs());
  }
}

const newTrack = (receiver: Receiver): Track => ({
  receiver,
  ssrc: randomBytes(4).readUInt32BE(),
  channels: [0, 1],
  udp: null,
});

interface RtspUnitFields {
  readonly track: Unit['track'];
  readonly data: Buffer;
  readonly pts: number;
  readonly duration: number;
  readonly key: boolean;
  /** Lent to whoever asks for a packet. */
  readonly scratch: Packet;
}

class RtspUnit implements Unit {
  readonly track: Unit['track'];
  readonly byteLength: number;
  readonly pts: number;
  readonly dts = null;
  readonly duration: number;
  readonly #data: Buffer;
  readonly #key: boolean;
  readonly #scratch: Packet;

  constructor({ track, data, pts, duration, key, scratch }: RtspUnitFields) {
    this.track = track;
    this.byteLength = data.length;
    this.pts = pts;
    this.duration = duration;
    this.#data = data;
    this.#key = key;
    this.#scratch = scratch;
  }

  takeData(): Buffer {
    return this.#data;
  }

  packet(): Packet {
    const packet = this.#scratch;
    packet.unref();
    packet.data = this.#data;
    packet.pts = BigInt(this.pts);
    packet.dts = AV_NOPTS_VALUE;
    packet.duration = BigInt(this.duration);
    packet.isKeyframe = this.#key;
    return packet;
  }
}
