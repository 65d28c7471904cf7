/** `scripts/test-image TARGET`: boots the image and shows that it works; prints what was proven and how long each took. */
import { parseArgs } from 'node:util';
import { targetNamed } from '../build/targets.ts';
import { buildVersions } from './card.ts';
import { inspectImage } from './inspect.ts';
import type { Scenario } from './scenario.ts';
import { cameras } from './scenarios/cameras.ts';
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
  efiState,
  mini,
  secure,
  jetson,
];

const targetOf = ({ target = 'qemu-arm64' }: Scenario): string => target;

const USAGE = `Usage: ./scripts/test-image qemu-arm64|amd64|jetson [--only NAME[,NAME]] | raspberrypi

Builds the image (little compressed) if its parts changed, flashes disks with it, boots them in emulated machines, and shows:

${SCENARIOS.map((one) => `  ${targetOf(one).padEnd(11)} ${one.name.padEnd(12)} ${one.about}`).join('\n')}

Needs what scripts/build-image needs. A table at the end says what was proven. Logs of consoles: .cache/image/vm/NAME.log

raspberrypi: the image is read with tools, and checked for what each board wants; in emulated boards it starts as far as the kernel.
`;

interface Proven {
  readonly scenario: string;
  readonly what: string;
  readonly seconds: number;
}

/** Each from its own power-on; what follows one that failed is shown all the same. Returns how many failed. */
async function runAll(scenarios: readonly Scenario[], proven: Proven[]): Promise<number> {
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
      await scenario.run({ shown });
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
    options: { help: { type: 'boolean', short: 'h' }, only: { type: 'string' } },
  });
  const target = targetNamed(positionals[0]);
  const ofTarget = SCENARIOS.filter((scenario) => targetOf(scenario) === target?.name);
  const names = values.only?.split(',') ?? ofTarget.filter(({ isExtra }) => !isExtra).map(({ name }) => name);
  const scenarios = ofTarget.filter(({ name }) => names.includes(name));
  if (target?.name === 'raspberrypi' && !values.help) return inspectImage();
  if (values.help || target === undefined || scenarios.length !== names.length) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  const proven: Proven[] = [];
  buildVersions(target.name);
  const failed = await runAll(scenarios, proven);
  // What was shown before a failure is shown all the same.
  process.stdout.write('\n| | proven in emulation | s |\n|---|---|---:|\n');
  for (const { scenario, what, seconds } of proven)
    process.stdout.write(`| ${scenario} | ${what} | ${seconds.toFixed(0)} |\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
