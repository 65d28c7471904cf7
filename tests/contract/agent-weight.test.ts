/** The agent moves facts: native media and inference libraries belong to its children, and weigh tens of megabytes. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

test('the agent loads no native library', async () => {
  const agent = new URL('../../device/cli/run.ts', import.meta.url).href;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    '--input-type=module',
    '--eval',
    `await import(${JSON.stringify(agent)});
     process.stdout.write(JSON.stringify(process.report.getReport().sharedObjects))`,
  ]);
  const loaded = JSON.parse(stdout) as string[];
  expect(loaded.length).toBeGreaterThan(0);
  expect(loaded.filter((path) => path.endsWith('.node'))).toEqual([]);
});
