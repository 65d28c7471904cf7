/** `scripts/test-image TARGET`: boots the image and shows that it works; prints what was proven and how long each took. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { targetNamed } from '../build/targets.ts';
import { buildVersions } from './card.ts';
import { inspectImage } from './inspect.ts';
import type { CutOptions, Scenario } from './scenario.ts';
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

/** Each from its own power-on; what follows one that failed is shown all the same. Returns how many failed. */
async function runAll(
  scenarios: readonly Scenario[],
  options: CutOptions,
  proven: Proven[],
): Promise<number> {
  let failed = 0;
  for (const scenario of scenarios) {
    const started = performance.now();
    process.stderr.write(`\n${scenario.name}: ${scenario.about}\n`);
    const shown = (what: string): void => {
      const seconds = (performance.now() - started) / 1000;
      proven.push({ scenario: scenario.name, what, seconds });
      process.stderr.write(`${seconds.toFixed(1).padStart(7)} s  ${what}\n`);
    };
    try {
      await scenario.run({ shown, options });
    } catch (error) {
      failed += 1;
      process.stderr.write(
        `image: ${scenario.name}: ${error instanceof Error ? error.message : String(error)}\n`,
      );
    }
  }
  return failed;
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      only: { type: 'string' },
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
  const [cutCount, booted, seed] = [values.cuts, values.booted, values.seed].map(Number);
  const options = { cuts: cutCount ?? NaN, booted: booted ?? NaN, seed: seed ?? NaN, again: values.again };
  const isCount = [options.cuts, options.booted, options.seed].every(
    (count) => Number.isSafeInteger(count) && count >= 0,
  );
  if (target?.name === 'raspberrypi' && !values.help) return inspectImage();
  if (values.help || target === undefined || scenarios.length !== names.length || !isCount) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  const proven: Proven[] = [];
  buildVersions(target.name);
  const failed = await runAll(scenarios, options, proven);
  // What was shown before a failure is shown all the same.
  process.stdout.write('\n| | proven in emulation | s |\n|---|---|---:|\n');
  for (const { scenario, what, seconds } of proven)
    process.stdout.write(`| ${scenario} | ${what} | ${seconds.toFixed(0)} |\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
