/** The part of SDP (RFC 8866) in which a camera says what it sends. */

export interface MediaDescription {
  /** `video`, `audio`, `application` … */
  readonly type: string;
  /** `RTP/AVP`; others carry something else. */
  readonly protocol: string;
  /** The first one offered: what a camera sends. */
  readonly payloadType: number;
  /** In lower case; null: the payload type says it (RFC 3551). */
  readonly encoding: string | null;
  readonly clockRate: number | null;
  readonly channels: number | null;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly control: string | null;
  readonly fps: number | null;
}

export interface SessionDescription {
  readonly control: string | null;
  readonly media: readonly MediaDescription[];
}

/** More than a camera has; the rest is not looked at. */
const MAX_MEDIA = 16;

interface Section {
  readonly media: string;
  readonly attributes: [name: string, value: string][];
}

/** Whatever is not understood is passed over. */
export function parseSdp(text: string): SessionDescription {
  const session: Section = { media: '', attributes: [] };
  const sections: Section[] = [];
  for (const line of text.split(/\r\n|\n|\r/)) {
    const value = line.slice(2).trim();
    if (line.startsWith('m=')) sections.push({ media: value, attributes: [] });
    else if (line.startsWith('a=')) {
      const colon = value.indexOf(':');
      const attribute: [string, string] =
        colon < 0 ? [value, ''] : [value.slice(0, colon).toLowerCase(), value.slice(colon + 1).trim()];
      (sections.at(-1) ?? session).attributes.push(attribute);
    }
  }
  return {
    control: first(session, 'control'),
    media: sections.slice(0, MAX_MEDIA).flatMap((section) => describe(section) ?? []),
  };
}

const first = ({ attributes }: Section, wanted: string): string | null =>
  attributes.find(([name]) => name === wanted)?.[1] ?? null;

function describe(section: Section): MediaDescription | null {
  const [type = '', , protocol = '', format = ''] = section.media.split(/\s+/);
  if (!/^\d{1,3}$/.test(format) || Number(format) > 127) return null;
  const ofFormat = (wanted: string): string | null => {
    for (const [name, value] of section.attributes) {
      const [number, ...rest] = value.split(/\s+/);
      if (name === wanted && number === format) return rest.join(' ');
    }
    return null;
  };
  const [encoding = null, rate, channels] = ofFormat('rtpmap')?.split('/') ?? [];
  const fps = Number.parseFloat(first(section, 'framerate') ?? first(section, 'x-framerate') ?? '');
  return {
    type: type.toLowerCase(),
    protocol: protocol.toUpperCase(),
    payloadType: Number(format),
    encoding: encoding?.trim().toLowerCase() ?? null,
    clockRate: count(rate, 1_000_000),
    channels: count(channels, 64),
    parameters: parseParameters(ofFormat('fmtp') ?? ''),
    control: first(section, 'control'),
    fps: fps >= 1 && fps <= 240 ? fps : null,
  };
}

function count(text: string | undefined, most: number): number | null {
  const value = Number.parseInt(text ?? '', 10);
  return value > 0 && value <= most ? value : null;
}

/** `a=fmtp` as `name=value; name=value`. */
function parseParameters(text: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const part of text.split(';')) {
    const equals = part.indexOf('=');
    if (equals > 0) parameters.set(part.slice(0, equals).trim().toLowerCase(), part.slice(equals + 1).trim());
  }
  return parameters;
}
