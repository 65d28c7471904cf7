/** Power cuts: a life is recorded once, and its disk cut off at hundreds of moments. */
import { execFile } from 'node:child_process';
import { rmSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { seededRandom } from '../../../tests/crash/seeded-random.ts';
import { cutPower } from '../../../tests/harness/nbd/crash-images.ts';
import { VERSIONS } from '../card.ts';
import { bootComplaints } from '../cuts/boot.ts';
import { Examiner, type Examined } from '../cuts/examine.ts';
import { standing } from '../cuts/facts.ts';
import { planCuts, stretchesOf, type PlannedCut } from '../cuts/plan.ts';
import { copySparse, FOLDER, lastRecording, record, type Recording } from '../cuts/recording.ts';
import { Replay } from '../cuts/replay.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { cache } from '../toolbox.ts';

const run = promisify(execFile);

const VERSION_OF = { A: VERSIONS.first, B: VERSIONS.next };
/** Guests at a time. */
const BOOTING = 2;
/** Disks that are kept for whoever looks into it. */
const KEPT = 3;
const PROGRESS_EVERY = 25;

/** Cuts a life as planned, and keeps count. */
class Matrix {
  readonly #recording: Recording;
  readonly #seed: number;
  readonly #booting = new Set<Promise<void>>();
  readonly #done = new Map<string, { checked: number; booted: number }>();
  readonly failures: string[] = [];
  #kept = 0;

  constructor(recording: Recording, seed: number) {
    this.#recording = recording;
    this.#seed = seed;
  }

  async run(cuts: readonly PlannedCut[]): Promise<void> {
    const { flashed, log, slots } = this.#recording;
    const disk = `${FOLDER}/cut.img`;
    copySparse(flashed, disk);
    {
      await using replay = await Replay.open(disk, log);
      await using examiner = new Examiner(log.ops, slots, 'vm/cuts/look');
      for (const cut of cuts) {
        await this.#one(cut, replay, examiner, disk);
        if ((cut.number + 1) % PROGRESS_EVERY === 0) this.#tell(cuts.length);
      }
      await Promise.all(this.#booting);
    }
    this.#tell(cuts.length);
    rmSync(disk);
  }

  async #one(planned: PlannedCut, replay: Replay, examiner: Examiner, disk: string): Promise<void> {
    const { cutAt, isBooted, seed, stretch, way } = planned;
    const { log } = this.#recording;
    const facts = standing(this.#recording.facts, cutAt);
    await replay.put(cutPower(log.ops, cutAt, way, seededRandom(seed)));
    const examined = await examiner.examine({ replay, cutAt, facts });
    this.#count(stretch, 'checked');
    if (examined.complaints.length > 0) await this.#fail(planned, examined.complaints, disk);
    // A guest as soon as there is room for one; the disk goes on meanwhile.
    if (isBooted && examined.state !== null) {
      while (this.#booting.size >= BOOTING) await Promise.race(this.#booting);
      const copy = `${FOLDER}/boot-${planned.number}.img`;
      await run('cp', ['--sparse=always', disk, copy]);
      const booted = this.#boot(planned, examined, copy).finally(() => this.#booting.delete(booted));
      this.#booting.add(booted);
    }
    await replay.takeBack();
  }

  async #boot(planned: PlannedCut, { state }: Examined, copy: string): Promise<void> {
    if (state === null) return;
    const name = `cuts-${planned.number}`;
    const facts = standing(this.#recording.facts, planned.cutAt);
    const complaints = await bootComplaints(name, copy.replace(cache, '/cache'), {
      ...{ state, facts, versions: VERSION_OF },
    }).catch((error: unknown) => [`it does not come up: ${String(error)}`]);
    this.#count(planned.stretch, 'booted');
    if (complaints.length > 0) await this.#fail(planned, complaints, copy);
    rmSync(copy);
  }

  async #fail(
    { cutAt, number, seed, stretch, way }: PlannedCut,
    complaints: readonly string[],
    disk: string,
  ): Promise<void> {
    const kept = this.#kept < KEPT ? `${FOLDER}/failed-${number}.img` : null;
    this.#kept += 1;
    if (kept !== null) await run('cp', ['--sparse=always', disk, kept]);
    const failure =
      `cut ${number} of --seed ${this.#seed} (${stretch}, before operation ${cutAt}, ${way}, ${seed}): ` +
      `${complaints.join('; ')}${kept === null ? '' : `; kept: ${kept.replace(`${cache}/`, '')}`}`;
    this.failures.push(failure);
    process.stderr.write(`          ${failure}\n`);
  }

  #count(stretch: string, what: 'checked' | 'booted'): void {
    const done = this.#done.get(stretch) ?? { checked: 0, booted: 0 };
    done[what] += 1;
    this.#done.set(stretch, done);
  }

  get stretches(): ReadonlyMap<string, { readonly checked: number; readonly booted: number }> {
    return this.#done;
  }

  #tell(total: number): void {
    const all = [...this.#done.values()];
    const sum = (what: 'checked' | 'booted'): number => all.reduce((before, done) => before + done[what], 0);
    process.stderr.write(
      `          ${sum('checked')} of ${total} cuts looked at, ${sum('booted')} booted, ${this.failures.length} failed\n`,
    );
  }
}

async function cutLife({ options, shown }: Stage): Promise<void> {
  await using recording = options.again ? await lastRecording() : await record(shown);
  const { ops } = recording.log;
  const stretches = stretchesOf(ops, statSync(recording.flashed).size);
  const { booted, cuts: checked, seed } = options;
  process.stderr.write(`          --seed ${seed}\n`);
  const matrix = new Matrix(recording, seed);
  await matrix.run(planCuts(stretches, { checked, booted, seed }));
  for (const [name, done] of matrix.stretches)
    shown(`${name}: ${done.checked} power cuts looked at, ${done.booted} of them booted`);
  const { length } = matrix.failures;
  if (length > 0) throw new Error(`${length} power cuts broke a promise; the first: ${matrix.failures[0]}`);
  shown(
    'after every cut the table, the boot state and a slot are whole, and all that was confirmed is there; clips play',
  );
  if (recording.trouble !== null) throw new Error(recording.trouble);
}

export const cuts: Scenario = {
  name: 'cuts',
  about: 'the power is cut anywhere between first boot and confirmed update',
  run: cutLife,
};
