import { expect, test } from 'vitest';
import { TaskSet } from '../../../device/kernel/tasks.ts';

test('settle waits for running work and for the work it starts', async () => {
  const finished: string[] = [];
  const tasks = new TaskSet((_, error) => {
    throw error;
  });
  const gate = Promise.withResolvers<void>();
  tasks.run('outer', async () => {
    await gate.promise;
    tasks.run('inner', async () => {
      await Promise.resolve();
      finished.push('inner');
    });
    finished.push('outer');
  });
  expect(tasks.names).toEqual(['outer']);
  gate.resolve();
  await tasks.settle();
  expect(finished).toEqual(['outer', 'inner']);
  expect(tasks.names).toEqual([]);
});

test('a failure is reported once, under its name, and does not keep settle from resolving', async () => {
  const failures: unknown[] = [];
  const tasks = new TaskSet((name, error) => failures.push([name, error]));
  const reason = new Error('disk on fire');
  tasks.run('write', () => Promise.reject(reason));
  await tasks.settle();
  expect(failures).toEqual([['write', reason]]);
});
