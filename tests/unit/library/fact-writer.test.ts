import { beforeEach, expect, test } from 'vitest';
import { CodedError, type ErrorReport } from '../../../device/contract/errors.ts';
import { noMeter } from '../../../device/contract/metrics.ts';
import type { Committed, IndexFact } from '../../../device/library/commit.ts';
import { FactWriter } from '../../../device/library/fact-writer.ts';
import { event, HandClock, segment, silent } from './rig.ts';

interface Commit {
  readonly facts: readonly IndexFact[];
  readonly answer: PromiseWithResolvers<readonly Committed[]>;
}

/** Only waits that are meant to be short ever end. */
class PatientClock extends HandClock {
  override sleep(ms: number): Promise<void> {
    return ms < 60_000 ? Promise.resolve() : new Promise(() => {});
  }
}

let commits: Commit[];
let troubles: (ErrorReport | null)[];
let asked: PromiseWithResolvers<void>;
let writer: FactWriter;

beforeEach(() => {
  commits = [];
  troubles = [];
  asked = Promise.withResolvers();
  writer = new FactWriter({
    commit(facts) {
      const answer = Promise.withResolvers<readonly Committed[]>();
      commits.push({ facts, answer });
      asked.resolve();
      asked = Promise.withResolvers();
      return answer.promise;
    },
    clock: new PatientClock(),
    log: silent,
    meter: noMeter,
    onTrouble: (trouble) => troubles.push(trouble),
  });
});

const indexed = (position: number) => ({ link: { position, hash: String(position) }, isNew: true });
const idsOf = ({ facts }: Commit) =>
  facts.map((fact) => (fact.type === 'segment.ready' ? fact.segment.segmentId : fact.type));
/** The next commit is asked for after this. */
const next = async (): Promise<Commit> => {
  if (commits.length === 0) await asked.promise;
  return commits.shift()!;
};

test('what comes while a commit is under way goes into the next one, all together', async () => {
  const first = writer.write(segment('a'));
  const commit = await next();
  const others = ['b', 'c', 'd'].map((id) => writer.write(segment(id)));
  commit.answer.resolve([indexed(1)]);
  expect(await first).toEqual(indexed(1));
  const second = await next();
  expect(idsOf(second)).toEqual(['b', 'c', 'd']);
  second.answer.resolve([indexed(2), { refused: 'odd' }, indexed(3)]);
  expect(await Promise.all(others)).toEqual([indexed(2), null, indexed(3)]);
});

test('what could not be committed is sent again, before what came later, and the trouble is told until it is over', async () => {
  const first = writer.write(segment('a'));
  const commit = await next();
  const later = writer.write(segment('b'));
  commit.answer.reject(new CodedError('DISK_FULL'));
  const again = await next();
  expect(idsOf(again)).toEqual(['a', 'b']);
  expect(troubles).toMatchObject([{ code: 'DISK_FULL' }]);
  again.answer.resolve([indexed(1), indexed(2)]);
  expect(await Promise.all([first, later])).toEqual([indexed(1), indexed(2)]);
  expect(troubles.at(-1)).toBeNull();
});

test('without an index everything is answered, now and later', async () => {
  const waiting = [writer.write(segment('a')), writer.write({ type: 'event', event: event('e') })];
  const commit = await next();
  waiting.push(writer.write(segment('b')));
  writer.giveUp();
  commit.answer.reject(new CodedError('INDEX_NEWER'));
  expect(await Promise.all(waiting)).toEqual([null, null, null]);
  expect(await writer.write(segment('late'))).toBeNull();
  expect(commits).toEqual([]);
});

test('what is written the moment the one before is answered is not forgotten', async () => {
  const second = writer.write(segment('a')).then(() => writer.write(segment('b')));
  (await next()).answer.resolve([indexed(1)]);
  (await next()).answer.resolve([indexed(2)]);
  expect(await second).toEqual(indexed(2));
});

test('a drain waits for what is queued', async () => {
  const done: string[] = [];
  void writer.write(segment('a')).then(() => done.push('a'));
  const commit = await next();
  void writer.write(segment('b')).then(() => done.push('b'));
  commit.answer.resolve([indexed(1)]);
  const drained = writer.drain(60_000);
  (await next()).answer.resolve([indexed(2)]);
  await drained;
  expect(done).toEqual(['a', 'b']);
});

test('a drain that takes too long gives up, and waits for nobody', async () => {
  const stuck = writer.write(segment('a'));
  await next();
  const queued = writer.write(segment('b'));
  await writer.drain(10);
  expect(await queued).toBeNull();
  void stuck;
});
