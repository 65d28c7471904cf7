/** A network camera, served by this machine, that shows people: seen, told and recorded by the emulated box. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fetchFootage } from '../../../device/cli/footage.ts';
import { takeLacks } from '../../../tests/harness/packages.ts';
import { startRtspServer, type RtspServer } from '../../../tests/harness/rtsp-server.ts';
import { Card } from '../card.ts';
import { Guest, HOST } from '../guest.ts';
import type { Scenario, Shown } from '../scenario.ts';
import { cache, root } from '../toolbox.ts';

/** Cut to one square of the model, where they are large; people walk so much slower than they did: a processor that is emulated needs many seconds for one look. */
const SLOWER = 10;

/** No camera of the kernel's beside it. */
const SHELL = 'systemd.debug_shell=ttyAMA1';

async function slowFootage(): Promise<string> {
  const slow = `${cache}/vm/street.mp4`;
  if (existsSync(slow)) return slow;
  const footage = await fetchFootage({ cacheDir: `${root}/.cache/footage` });
  const filter = [
    '-t',
    '20',
    '-i',
    footage,
    '-an',
    '-vf',
    `crop=288:288:300:200,setpts=${SLOWER}*PTS`,
    '-r',
    '1',
  ];
  execFileSync('ffmpeg', ['-loglevel', 'error', '-nostdin', '-y', ...filter, '-crf', '16', slow]);
  return slow;
}

async function street(): Promise<RtspServer> {
  const lacks = takeLacks();
  if (lacks.length > 0) throw new Error(`a network camera needs ${lacks.join(', ')}: apt-get install`);
  const picture = { width: 288, height: 288, fps: 1, codec: 'h264', bitrateKbit: 500, gop: 2 } as const;
  return await startRtspServer({ streams: [{ path: '/street', ...picture, file: await slowFootage() }] });
}

const settings = (url: string): string => `hostname: gate
timezone: Europe/Berlin
config:
  detection: { model: centernet, backend: tfjs-wasm, workers: 1 }
  cameras:
    - camera_id: street
      rtsp_url: ${url}
      detection: { fps: 1, labels: [person], min_score: 0.3 }
      recording: { pre_seconds: 20, post_seconds: 2, max_clip_seconds: 30 }
`;

/** Resolves to the path of the clip below the data directory. */
async function seen(guest: Guest, shown: Shown): Promise<string> {
  await guest.until('spyoncino command camera.snapshot --camera street', /"path"/);
  shown('an RTSP camera outside of the box is read: a picture of it');
  const event = await guest.expect('spyoncino subscribe event.new --count 1', /"label":"person"/);
  const took = await guest.must(`node -e "${INFERENCE_MS}"`);
  shown(`people are detected by TensorFlow.js on arm64 (a look takes ${took} s), and told as event.new`);
  const id = /"event_id":"([^"]+)"/.exec(event)?.[1] ?? '';
  const clip = await guest.until(
    `spyoncino command recordings.get '{"item_id": "${id}"}'`,
    /"path": "[^"]+\.mp4"/,
  );
  return /"path": "([^"]+)"/.exec(clip)?.[1] ?? '';
}

/** Prints the mean of what the model took, in seconds; there is no curl in the image. */
const INFERENCE_MS = [
  "fetch('http://127.0.0.1:9093/metrics').then((answer) => answer.text()).then((text) => {",
  'const of = (what) => Number(new RegExp(what).exec(text)[1]);',
  "const sum = of('inference_ms_sum.* ([0-9.]+)'), count = of('inference_ms_count.* ([0-9]+)');",
  'console.log((sum / count / 1000).toFixed(1)) })',
].join(' ');

export const cameras: Scenario = {
  name: 'cameras',
  about: 'an RTSP camera with people before it: detected, told and recorded',
  async run({ shown }) {
    await using server = await street();
    const url = server.url('/street').replace('127.0.0.1', HOST);
    using card = Card.flash('cameras', { settings: settings(url), kernelArgs: SHELL });
    await using guest = await Guest.start('cameras', card);
    await guest.ready();
    const clip = await seen(guest, shown);
    await guest.powerOff();
    const pictures = await card.picturesOf(clip);
    if (pictures < 5) throw new Error(`${clip} has ${pictures} pictures`);
    shown(`switched off; the clip of it is read from the disk and decoded: ${pictures} pictures`);
  },
};
