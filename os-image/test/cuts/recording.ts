/** The life of a box from its first boot to an update that is confirmed: all that its disk was asked, and what it confirmed when. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { serveBundle } from '../../../tests/harness/bundle-server.ts';
import { DiskLog, type DiskOp } from '../../../tests/harness/nbd/disk-log.ts';
import { serveNbd } from '../../../tests/harness/nbd/server.ts';
import { bundleOf, CAMERA, Card, VERSIONS } from '../card.ts';
import { Guest, HOST, patience } from '../guest.ts';
import type { Shown } from '../scenario.ts';
import { cache } from '../toolbox.ts';
import { slotContent, type Slots } from './examine.ts';
import type { Fact } from './facts.ts';
import { MARKS } from './plan.ts';

export const FOLDER = `${cache}/vm/cuts`;

export interface Recording extends AsyncDisposable {
  readonly log: DiskLog;
  readonly facts: readonly Fact[];
  readonly slots: Slots;
  /** Why the life ended before its update was confirmed; what came before is recorded all the same. */
  readonly trouble: string | null;
  /** The disk as it was when the log began. */
  readonly flashed: string;
}

const FILES = { flashed: `${FOLDER}/flashed.img`, log: `${FOLDER}/log`, said: `${FOLDER}/said.json` };

interface Said extends Pick<Recording, 'facts' | 'slots' | 'trouble'> {
  readonly ops: readonly DiskOp[];
}

/** What the box makes at its first boot and must never make again; below the data partition. */
const IDENTITY = [
  'system/machine-id',
  'system/provision/etc/hostname',
  'spyoncino/state/tls/authority.crt',
  'spyoncino/state/tls/authority.pem',
];

/** @throws Error when there is none */
export async function lastRecording(): Promise<Recording> {
  if (!existsSync(FILES.said)) throw new Error('no recording was kept: leave --again out');
  const said = JSON.parse(readFileSync(FILES.said, 'utf8')) as Said;
  const log = await DiskLog.reopen(FILES.log, said.ops);
  return {
    ...{ log, facts: said.facts, slots: said.slots, trouble: said.trouble, flashed: FILES.flashed },
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
}

/** Keeps it for `lastRecording`. */
export async function record(shown: Shown): Promise<Recording> {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  using card = Card.flash('cuts-life');
  copySparse(`${cache}/${card.path}`, FILES.flashed);
  const log = await DiskLog.create(FILES.log);
  await using building = new AsyncDisposableStack();
  building.use(log);
  const facts: Fact[] = [{ since: 0, kind: 'good', slot: 'A' }];
  let trouble: string | null;
  {
    await using disk = await serveNbd({ path: `${cache}/${card.path}`, log });
    log.mark(MARKS.powerOn);
    await using guest = await Guest.start('cuts-life', disk.uri);
    trouble = await new Life(guest, log, facts, shown).live();
  }
  const slots = { A: slotContent(VERSIONS.first, 'A'), B: slotContent(VERSIONS.next, 'B') };
  writeFileSync(FILES.said, JSON.stringify({ ops: log.ops, facts, slots, trouble } satisfies Said));
  const owned = building.move();
  return {
    ...{ log, facts, slots, trouble, flashed: FILES.flashed },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export function copySparse(from: string, to: string): void {
  const { status } = spawnSync('cp', ['--sparse=always', from, to], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${from} cannot be copied`);
}

class Life {
  readonly #guest: Guest;
  readonly #log: DiskLog;
  readonly #facts: Fact[];
  readonly #shown: Shown;

  constructor(guest: Guest, log: DiskLog, facts: Fact[], shown: Shown) {
    this.#guest = guest;
    this.#log = log;
    this.#facts = facts;
    this.#shown = shown;
  }

  /** Resolves to why the update was not confirmed; null when it was. */
  async live(): Promise<string | null> {
    await this.#firstBoot();
    await this.#record();
    const trouble = await this.#update().then(
      () => null,
      (error: unknown) => `the recorded update: ${error instanceof Error ? error.message : String(error)}`,
    );
    const { ops } = this.#log;
    const flushes = ops.filter(({ kind }) => kind === 'flush').length;
    this.#shown(`a life is recorded: ${ops.length} operations of its disk, ${flushes} flushes`);
    return trouble;
  }

  get #now(): number {
    return this.#log.ops.length;
  }

  async #firstBoot(): Promise<void> {
    const guest = this.#guest;
    await guest.shell.ready(patience());
    await guest.until('systemctl is-active spyoncino-grow.service', /^active$/);
    this.#log.mark(MARKS.grown);
    await guest.healthy();
    await guest.line(/spyoncino: slot A is good/);
    this.#log.mark(MARKS.confirmed);
    const sums = await guest.must(`cd /data && sha256sum ${IDENTITY.join(' ')}`);
    for (const line of sums.split('\n')) {
      const [sha256 = '', path = ''] = line.split(/\s+/);
      this.#facts.push({ since: this.#now, kind: 'file', path, sha256 });
    }
    await guest.ready();
    await guest.until(`spyoncino command camera.snapshot --camera ${CAMERA}`, /"path"/);
  }

  /** What the bus says, to the console: the shell is for questions. */
  async #record(): Promise<void> {
    const guest = this.#guest;
    await guest.must('spyoncino subscribe clip.ready >/dev/ttyAMA0 2>&1 &');
    await guest.line(/subscribe: connected/);
    this.#log.mark(MARKS.event);
    for (let number = 0; number < 2; number++) {
      const said = await guest.must(
        `spyoncino command event.create '{"label": "person", "duration_seconds": 3}' --camera ${CAMERA}`,
      );
      const id = /"event_id": "([^"]+)"/.exec(said)?.[1] ?? '-';
      const line = await guest.line(new RegExp(`clip\\.ready \\{.*${id}.*\\}`));
      const since = this.#now;
      const clip = JSON.parse(line.slice(line.indexOf('{'))) as { url: string; sha256: string };
      this.#facts.push({ since, kind: 'clip', path: `spyoncino/${clip.url}`, sha256: clip.sha256 });
    }
  }

  async #update(): Promise<void> {
    const guest = this.#guest;
    await using server = await serveBundle(readFileSync(bundleOf(VERSIONS.next)));
    this.#log.mark(MARKS.install);
    const url = server.url.replace('127.0.0.1', HOST);
    await guest.must(`spyoncino update install ${url} --timeout 600 >/dev/ttyAMA0 2>&1 &`);
    const line = await guest.line(/spyoncino: booting slot B, trial, 2 attempts left|[A-Z]+_[A-Z_]+: /);
    if (!line.includes('booting')) throw new Error(line);
    this.#log.mark(MARKS.trial);
    this.#facts.push({ since: this.#now, kind: 'first', slot: 'B' });
    await guest.line(/spyoncino: slot B is good/);
    this.#log.mark(MARKS.good);
    this.#facts.push({ since: this.#now, kind: 'good', slot: 'B' });
    await guest.ready();
    await guest.until('spyoncino update status', new RegExp(`last +${VERSIONS.next}: succeeded`));
  }
}
