/** What is written to the card on a day on which nothing happens. */
import { setTimeout as delay } from 'node:timers/promises';
import { Card } from '../card.ts';
import { Guest } from '../guest.ts';
import type { Scenario, Shown } from '../scenario.ts';

const SETTLE_MS = 180_000;
const MEASURE_MS = 600_000;
const SECTOR_BYTES = 512;
const DAY_MS = 86_400_000;

/** Per block device: sectors written, flushes; then per process: bytes it caused to be written, and its name. */
const COUNT = `sync; grep -E ' vda[0-9]* ' /proc/diskstats | awk '{ print "disk", $3, $10, $19 }'
for pid in $(ls /proc | grep -E '^[0-9]+$'); do
  n=$(sed -n 's/^write_bytes: //p' /proc/$pid/io 2>/dev/null); [ -z "$n" ] || [ "$n" = 0 ] || echo "by $pid $n $(tr '\\0' ' ' </proc/$pid/cmdline | cut -c 1-60 || cat /proc/$pid/comm)"
done; sed -n 's/^\\([0-9]*\\) transactions.*/commits jbd2 \\1/p' /proc/fs/jbd2/*/info`;

/** By `kind name`; the number in the third column, and the rest. */
function parse(text: string): ReadonlyMap<string, { readonly count: number; readonly rest: string }> {
  const rows = [...text.matchAll(/^(\w+ \w+) (\d+) ?(.*)$/gm)];
  return new Map(rows.map(([, key = '', count, rest = '']) => [key, { count: Number(count), rest }]));
}

/** How much is written in that time, by disk and by process, extrapolated to a day. */
export async function measureWrites(guest: Guest, ms: number, shown: Shown): Promise<void> {
  const before = parse(await guest.must(COUNT));
  await guest.must('touch /run/since');
  const started = performance.now();
  await delay(ms);
  const after = parse(await guest.must(COUNT));
  const measuredMs = performance.now() - started;
  const perDay = (bytes: number): string => `${((bytes * DAY_MS) / measuredMs / 1e6).toFixed(1)} MB a day`;
  for (const [key, { count, rest }] of after) {
    const [kind] = key.split(' ');
    const more = count - (before.get(key)?.count ?? 0);
    if (more === 0) continue;
    if (kind === 'disk') shown(`${key}: ${more} sectors, ${perDay(more * SECTOR_BYTES)}`);
    else if (kind === 'by') shown(`${rest}: ${perDay(more)}`);
    else shown(`${key}: ${more}`);
  }
  const changed = await guest.must(
    "find /data -xdev -newer /run/since -type f -printf '%s %p\\n' | sort -k 2 | head -n 60",
  );
  process.stderr.write(`changed files (bytes, path):\n${changed}\n`);
}

export const idle: Scenario = {
  name: 'idle',
  about: 'bytes written while a camera sees nothing (a quarter of an hour; only if named)',
  isExtra: true,
  async run({ shown }) {
    using card = Card.flash('idle');
    await using guest = await Guest.start('idle', card);
    await guest.line(/spyoncino: slot A is good/);
    await guest.ready();
    await guest.until('spyoncino command camera.snapshot --camera attic', /"path"/);
    await delay(SETTLE_MS);
    await measureWrites(guest, MEASURE_MS, shown);
  },
};
