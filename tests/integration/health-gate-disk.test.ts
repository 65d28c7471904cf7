/** The health gate on real disks that are full or take nothing any more. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startAgent } from '../harness/agent.ts';
import { outcomes, reasonOf, runGate } from '../harness/health-gate.ts';
import { createLoopDisk, requireLoopDisks, unmountAll, type LoopDisk } from '../harness/loop-disk.ts';

await requireLoopDisks();

/** A verdict of failure takes its time. */
vi.setConfig({ testTimeout: 180_000 });

const camera = { camera_id: 'porch', test_pattern: true, detection: { enabled: false } };

let dataDir: string;
let disk: LoopDisk;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-gate-disk-'));
  disk = await createLoopDisk({ mebibytes: 96 });
  await disk.mount(dataDir);
});
afterEach(async () => {
  unmountAll();
  await disk[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
});

test('a data partition that turned read-only has failed', async () => {
  await using agent = await startAgent({ config: { cameras: [camera] }, dataDir });
  await disk.turnReadOnly();
  const { code, run } = await runGate(agent);
  expect(code).toBe(1);
  expect(reasonOf(run, 'data')?.code).toBe('GATE_DATA_NOT_WRITABLE');
  expect(outcomes(run)).toMatchObject({ data: 'failed', api: 'passed' });
});

test('a data partition that is full to the last byte has failed', async () => {
  await using agent = await startAgent({ config: { cameras: [camera] }, dataDir });
  await fill(join(dataDir, 'of-somebody-else'));
  const { code, run } = await runGate(agent);
  expect(code).toBe(1);
  expect(reasonOf(run, 'data')).toMatchObject({
    code: 'GATE_DATA_NOT_WRITABLE',
    message: expect.stringContaining('ENOSPC'),
  });
});

/** Until not even a byte fits. */
async function fill(path: string): Promise<void> {
  await using file = await open(path, 'w');
  for (const size of [2 ** 20, 4096, 1]) {
    const block = Buffer.alloc(size, 1);
    for (;;) {
      try {
        await file.write(block);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') break;
        throw error;
      }
    }
  }
  await file.sync().catch(() => {});
}
