import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

/** Tests that share one machine's ports, cores and disks run one file at a time, after all others. */
const kind = (
  name: string,
  order: number,
  serial: boolean,
  timeoutMs: number,
): TestProjectInlineConfiguration => ({
  extends: true,
  test: {
    name,
    include: [`tests/${name}/**/*.test.ts`],
    sequence: { groupOrder: order },
    maxWorkers: serial ? 1 : 2,
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
  },
});

export default defineConfig({
  test: {
    pool: 'forks',
    runner: './tests/harness/runner.ts',
    globalSetup: './tests/harness/leaks.ts',
    watch: false,
    restoreMocks: true,
    projects: [
      kind('unit', 0, false, 15_000),
      kind('contract', 1, false, 30_000),
      kind('integration', 2, true, 60_000),
      kind('crash', 3, true, 300_000),
      kind('vm', 4, true, 600_000),
    ],
  },
});
