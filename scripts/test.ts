/** `scripts/test [STAGE...]`: prepares the machine, runs the stages, adds up. */
import { fetchFootage } from '../device/cli/footage.ts';
import { FOOTAGE_CACHE } from '../tests/harness/footage.ts';
import { installPackages, packagesOfTests } from './debian.ts';
import { inWords, runStage, STAGES, total, type Tally } from './stages.ts';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !STAGES.some((stage) => stage.name === name));
if (unknown.length > 0) {
  const known = STAGES.map(({ name }) => name).join(', ');
  process.stderr.write(`unknown stage: ${unknown.join(', ')}; there are ${known}\n`);
  process.exit(64); // EX_USAGE of sysexits.h
}
const stages = STAGES.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
if (stages.some(({ kind }) => kind === 'tests')) await prepare();

const tallies: Tally[] = [];
for (const [index, stage] of stages.entries()) {
  process.stdout.write(`\n── ${index + 1}/${stages.length} ${stage.name}\n`);
  const startedAt = performance.now();
  const result = await runStage(stage);
  tallies.push(result);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`── ${stage.name}: ${inWords(result)} (${seconds} s)\n`);
}

const sum = total(tallies);
process.stdout.write(`\n${inWords(sum)}\n`);
process.exitCode = sum.failed > 0 ? 1 : 0;

/** Once, here, rather than in each test worker. What cannot be had makes tests skip themselves, with the reason. */
async function prepare(): Promise<void> {
  const missing = installPackages(packagesOfTests(process.cwd()));
  if (missing.length > 0) {
    process.stdout.write(
      `Debian packages missing, tests that need them are skipped. To have them:\n` +
        `  sudo apt-get install --no-install-recommends ${missing.join(' ')}\n`,
    );
  }
  try {
    await fetchFootage({ cacheDir: FOOTAGE_CACHE });
  } catch (error) {
    process.stdout.write(`tests on real footage are skipped: ${String(error)}\n`);
  }
}
