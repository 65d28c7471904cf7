/**
 * `npm run bench [-- capture|agent|detect|motion|privacy|record|library|fsck|bus|attack|sync ...] [--rounds N] [--seconds N] [--dir DIR]`:
 * numbers, nothing asserted. `npm run bench -- soak [--minutes N]`: one camera host, its memory each minute.
 * Run it on a quiet machine; Debian packages as named by what is left out.
 */
import { parseArgs } from 'node:util';
import { machineFacts } from './facts.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '30' },
    dir: { type: 'string' },
    minutes: { type: 'string', default: '60' },
  },
});

/** Loaded when wanted, so that one part can run while another cannot. */
const PARTS: Readonly<Record<string, () => Promise<string>>> = {
  motion: async () => (await import('./motion.ts')).benchMotion(),
  detect: async () => (await import('./detect.ts')).benchDetect(),
  record: async () =>
    (await import('./record.ts')).benchRecord({ seconds: Number(values.seconds), dir: values.dir }),
  fsck: async () => (await import('./fsck.ts')).benchFsck(),
  bus: async () => (await import('./bus.ts')).benchBus(),
  attack: async () => (await import('./attack.ts')).benchAttack(),
  library: async () => (await import('./library.ts')).benchLibrary(),
  sync: async () => (await import('./sync.ts')).benchSync({ rounds: Number(values.rounds) }),
  privacy: async () => (await import('./privacy.ts')).benchPrivacy(),
  agent: async () => (await import('./agent.ts')).benchAgent(),
  capture: async () =>
    (await import('./capture.ts')).benchCapture({
      rounds: Number(values.rounds),
      secondsPerRound: Number(values.seconds),
    }),
};

/** Not unless asked for. */
const LONG_PARTS: typeof PARTS = {
  soak: async () => (await import('./soak.ts')).soak(Number(values.minutes)),
};

const wanted = positionals.length > 0 ? positionals : Object.keys(PARTS);
process.stdout.write(`${machineFacts()}\n`);
for (const name of wanted) {
  const part = PARTS[name] ?? LONG_PARTS[name];
  if (!part) {
    throw new Error(`no part ${name}; there are ${Object.keys({ ...PARTS, ...LONG_PARTS }).join(', ')}`);
  }
  process.stdout.write(`\n${await part()}\n`);
}
