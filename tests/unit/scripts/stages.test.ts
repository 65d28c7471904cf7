import { expect, test } from 'vitest';
import { inWords, tally, total } from '../../../scripts/stages.ts';

const report = (counts: object, testResults: readonly object[] = []): string =>
  JSON.stringify({
    numPassedTests: 0,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults,
    ...counts,
  });

test('skipped and planned tests are both skipped', () => {
  expect(tally(report({ numPassedTests: 5, numPendingTests: 2, numTodoTests: 1 }), true)).toEqual({
    passed: 5,
    failed: 0,
    skipped: 3,
  });
});

test('a file that cannot be loaded or prepared is one failure, beside the tests that failed', () => {
  const files = [
    { status: 'failed', assertionResults: [] },
    { status: 'failed', assertionResults: [{ status: 'skipped' }] },
    { status: 'failed', assertionResults: [{ status: 'failed' }, { status: 'passed' }] },
    { status: 'passed', assertionResults: [] },
  ];
  expect(tally(report({ numFailedTests: 1 }, files), false).failed).toBe(3);
});

test('a run that fails outside of its tests, or leaves no report, still fails', () => {
  expect(tally(report({ numPassedTests: 5 }), false)).toEqual({ passed: 5, failed: 1, skipped: 0 });
  expect(tally(null, false)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

test('the last line is the sum of all stages', () => {
  const sum = total([
    { passed: 1, failed: 0, skipped: 0 },
    { passed: 40, failed: 2, skipped: 3 },
  ]);
  expect(inWords(sum)).toBe('41 passed, 2 failed, 3 skipped');
});
