/** Runs inside the machine: the capture room against a V4L2 camera that is there, goes away, and comes back. */
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { listDevices, runCapture } from '../../../device/capture/index.ts';
import type { CameraFact } from '../../../device/contract/facts.ts';
import { noMeter } from '../../../device/contract/metrics.ts';
import { systemClock } from '../../../device/kernel/clock.ts';
import { createLog } from '../../../device/kernel/log.ts';

const BY_ID = '/dev/v4l/by-id';
const LINK = `${BY_ID}/usb-Vivid_Test_Camera-video-index0`;
const DRIVER = '/sys/bus/platform/drivers/vivid';
const PATIENCE_MS = 60_000;
const TURN_MS = 50;

const tell = (fact: object): boolean => process.stdout.write(`${JSON.stringify(fact)}\n`);
const log = createLog({ name: 'guest', level: 'debug' });

async function until<T>(what: string, look: () => T | undefined | false): Promise<T> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += TURN_MS) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    await delay(TURN_MS);
  }
  throw new Error(`waited in vain for ${what}`);
}

/** The number may differ each time: whoever kept the old device open keeps its name taken. */
async function plug(): Promise<void> {
  writeFileSync(`${DRIVER}/bind`, 'vivid.0');
  await linkNewest();
}

async function unplug(): Promise<void> {
  writeFileSync(`${DRIVER}/unbind`, 'vivid.0');
  rmSync(LINK);
}

/** What udev does for a USB camera. */
async function linkNewest(): Promise<void> {
  const node = await until('a video device', () =>
    readdirSync('/dev').find((name) => /^video\d+$/.test(name)),
  );
  mkdirSync(BY_ID, { recursive: true });
  symlinkSync(`../../${node}`, LINK);
}

/** A capture of `device` under observation. */
function watch(device: string) {
  const stop = new AbortController();
  const seen = { packets: 0, keys: 0, frames: 0, states: [] as CameraFact[], luma: new Set<number>() };
  const done = runCapture(
    {
      cameraId: 'vm',
      source: { kind: 'v4l2', device, width: 320, height: 180, fps: 10 },
      analysisFps: 5,
      packets: true,
      privacyMasks: [],
      sink: {
        stream: ({ role, generation, video }) =>
          tell({ stream: { role, generation, ...video, config: video.config.length } }),
        packet: (_role, packet) => {
          seen.packets++;
          if (packet.key) seen.keys++;
        },
        frame: (frame) => {
          seen.frames++;
          seen.luma.add(frame.luma(16, 9).reduce((sum, value) => sum + value, 0));
          frame.release();
        },
        state: (fact) => {
          seen.states.push(fact);
          tell({
            state: { phase: fact.phase, generation: fact.generation, code: fact.reason?.code ?? null },
          });
        },
      },
      meter: noMeter,
      log,
      clock: systemClock,
    },
    stop.signal,
  );
  return {
    seen,
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort();
      await done;
    },
  };
}

const flowing = (seen: { packets: number; frames: number }, packets: number, frames: number) => () =>
  seen.packets >= packets && seen.frames >= frames;

try {
  await linkNewest();
  const devices = await listDevices();
  tell({ devices });

  {
    await using auto = watch('auto');
    await until('pictures of the automatic choice', flowing(auto.seen, 10, 5));
    tell({ auto: { keys: auto.seen.keys, distinctPictures: auto.seen.luma.size } });
  }

  await using named = watch(devices[0]?.path ?? '');
  await until('pictures of the named device', flowing(named.seen, 5, 2));
  const before = named.seen.states.at(-1)?.generation ?? 0;

  await unplug();
  tell({ unplugged: true });
  await until('word of the missing camera', () =>
    named.seen.states.some(
      ({ phase, reason }) => phase === 'down' && reason?.code === 'CAMERA_DEVICE_MISSING',
    ),
  );
  tell({ devicesWhileUnplugged: await listDevices() });

  await plug();
  tell({ plugged: true });
  const back = await until('recovery', () =>
    named.seen.states.find(({ phase, generation }) => phase === 'running' && generation > before),
  );
  const { packets, frames } = named.seen;
  await until('pictures after recovery', flowing(named.seen, packets + 5, frames + 2));
  tell({ recovered: { from: before, to: back.generation } });
} catch (error) {
  tell({ failed: String(error) });
  process.exitCode = 1;
}
