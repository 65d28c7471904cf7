/** What a first start costs, beside that of earlier releases: work, as far as an emulated machine can tell, and not the board's time. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { Card } from '../card.ts';
import { Guest } from '../guest.ts';
import type { Scenario } from '../scenario.ts';
import { root } from '../toolbox.ts';

const work = z.object({
  version: z.string(),
  /** Of the emulator, from power-on to a confirmed slot; depends on the machine that emulates. */
  cpu_s: z.number(),
  read_mib: z.number(),
  written_mib: z.number(),
  /** Started in the guest. */
  processes: z.number(),
});
type Work = z.infer<typeof work>;

/** A line for each release, the newest last; the line of this one is printed. */
const RELEASES = new URL('../boot-work.json', import.meta.url);

const SECTORS_PER_MIB = 2048;

async function measure(guest: Guest): Promise<Omit<Work, 'version'>> {
  const cpuSeconds = guest.machine.cpuSeconds();
  const [disk, processes] = (
    await guest.must(
      "awk '$3 == \"vda\" { print $6, $10 }' /proc/diskstats; sed -n 's/^processes //p' /proc/stat",
    )
  ).split('\n');
  const [read = 0, written = 0] = (disk ?? '').split(' ').map(Number);
  return {
    cpu_s: Math.round(cpuSeconds),
    read_mib: Math.round(read / SECTORS_PER_MIB),
    written_mib: Math.round(written / SECTORS_PER_MIB),
    processes: Number(processes),
  };
}

export const boot: Scenario = {
  name: 'boot',
  about: 'the work of a first start, beside that of earlier releases',
  async run({ shown }) {
    using card = Card.flash('boot');
    await using guest = await Guest.start('boot', card);
    await guest.line(/spyoncino: slot A is good/);
    await guest.shell.ready(AbortSignal.timeout(60_000));
    const now = await measure(guest);
    const before = z
      .array(work)
      .parse(JSON.parse(readFileSync(RELEASES, 'utf8')))
      .at(-1);
    const figures = (['cpu_s', 'read_mib', 'written_mib', 'processes'] as const).map(
      (key) => `${key} ${now[key]}${before === undefined ? '' : ` (${before.version}: ${before[key]})`}`,
    );
    const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { version: string };
    process.stderr.write(`${JSON.stringify({ version, ...now })}\n`);
    shown(figures.join(', '));
  },
};
