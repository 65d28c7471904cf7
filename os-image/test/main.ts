/** `scripts/test-image TARGET`: boots the image and shows that it works; prints what was proven and how long each took. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { targetNamed } from '../build/targets.ts';
import { buildVersions } from './card.ts';
import { inspectImage } from './inspect.ts';
import type { CutOptions, Scenario } from './scenario.ts';
import { boot } from './scenarios/boot.ts';
import { cameras } from './scenarios/cameras.ts';
import { cuts } from './scenarios/cuts.ts';
import { fallback } from './scenarios/fallback.ts';
import { firstBoot } from './scenarios/first-boot.ts';
import { hardship } from './scenarios/hardship.ts';
import { idle } from './scenarios/idle.ts';
import { jetson, mini, secure } from './scenarios/efi.ts';
import { efiState } from './scenarios/efi-state.ts';
import { life } from './scenarios/life.ts';
import { network } from './scenarios/network.ts';
import { reset } from './scenarios/reset.ts';

const SCENARIOS: readonly Scenario[] = [
  boot,
  life,
  cameras,
  fallback,
  firstBoot,
  reset,
  network,
  hardship,
  idle,
  cuts,
  efiState,
  mini,
  secure,
  jetson,
];

const targetOf = ({ target = 'qemu-arm64' }: Scenario): string => target;

const USAGE = `Usage: ./scripts/test-image qemu-arm64|amd64|jetson [--only NAME[,NAME]] [OPTION…] | raspberrypi

Builds the image (little compressed) if its parts changed, flashes disks with it, boots them in emulated machines, and shows:

${SCENARIOS.map((one) => `  ${targetOf(one).padEnd(11)} ${one.name.padEnd(12)} ${one.about}`).join('\n')}

  --jobs N      so many scenarios at a time (2); an emulated machine keeps a core busy
  --cuts N      so many power cuts are looked at (500)
  --booted N    and so many of them booted (24)
  --seed N      the same cuts once more; printed at each run
  --again       of the life that was recorded last, instead of a new one

Needs what scripts/build-image needs. A table at the end says what was proven. Logs of consoles: .cache/image/vm/NAME.log

raspberrypi: the image is read with tools, and checked for what each board wants; in emulated boards it starts as far as the kernel.
`;

interface Proven {
  readonly scenario: string;
  readonly what: string;
  readonly seconds: number;
}

/** Each from its own power-on, `jobs` at a time; what follows one that failed is shown all the same. Returns how many failed. */
async function runAll(
  scenarios: readonly Scenario[],
  jobs: number,
  options: CutOptions,
  proven: Proven[],
): Promise<number> {
  const waiting = [...scenarios];
  let failed = 0;
  const worker = async (): Promise<void> => {
    for (let scenario; (scenario = waiting.shift());) {
      const { name } = scenario;
      const started = performance.now();
      const say = (what: string): void => {
        const seconds = (performance.now() - started) / 1000;
        process.stderr.write(`${name.padEnd(11)} ${seconds.toFixed(0).padStart(5)} s  ${what}\n`);
      };
      say(scenario.about);
      try {
        await scenario.run({
          shown: (what) => {
            proven.push({ scenario: name, what, seconds: (performance.now() - started) / 1000 });
            say(what);
          },
          options,
        });
      } catch (error) {
        failed += 1;
        say(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return failed;
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      only: { type: 'string' },
      jobs: { type: 'string', default: '2' },
      cuts: { type: 'string', default: '500' },
      booted: { type: 'string', default: '24' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      again: { type: 'boolean', default: false },
    },
  });
  const target = targetNamed(positionals[0]);
  const ofTarget = SCENARIOS.filter((scenario) => targetOf(scenario) === target?.name);
  const names = values.only?.split(',') ?? ofTarget.filter(({ isExtra }) => !isExtra).map(({ name }) => name);
  const scenarios = ofTarget.filter(({ name }) => names.includes(name));
  const options = {
    cuts: Number(values.cuts),
    booted: Number(values.booted),
    seed: Number(values.seed),
    again: values.again,
  };
  const jobs = Number(values.jobs);
  const isCount =
    jobs > 0 &&
    [options.cuts, options.booted, options.seed, jobs].every(
      (count) => Number.isSafeInteger(count) && count >= 0,
    );
  if (target?.name === 'raspberrypi' && !values.help) return inspectImage();
  if (values.help || target === undefined || scenarios.length !== names.length || !isCount) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  const proven: Proven[] = [];
  buildVersions(target.name);
  const failed = await runAll(scenarios, jobs, options, proven);
  // What was shown before a failure is shown all the same.
  process.stdout.write('\n| | proven in emulation | s |\n|---|---|---:|\n');
  for (const { scenario, what, seconds } of proven)
    process.stdout.write(`| ${scenario} | ${what} | ${seconds.toFixed(0)} |\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
