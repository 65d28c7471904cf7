import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { AuditLine } from '../../../device/contract/access.ts';
import { AuditFile } from '../../../device/control/index.ts';

const line = (command: string): AuditLine => ({
  utcMs: Date.UTC(2026, 10, 25),
  caller: { user: 'ada', role: 'admin', surface: 'http' },
  command,
  target: null,
  outcome: 'ok',
});

test('lines are written in order, and a full file makes room by becoming the older one', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'spyoncino-audit-'));
  try {
    for (let round = 0; round < 20; round++) {
      await using audit = new AuditFile(stateDir, pino({ enabled: false }));
      for (let i = 0; i < 500; i++) audit.add(line(`c${round * 500 + i}`));
    }
    const read = async (name: string) =>
      (await readFile(join(stateDir, name), 'utf8'))
        .trim()
        .split('\n')
        .map((text) => Number((JSON.parse(text) as AuditLine).command.slice(1)));
    const all = [...(await read('audit.1.jsonl')), ...(await read('audit.jsonl'))];
    expect(all.length).toBeGreaterThan(500);
    expect(all).toEqual(all.map((_, i) => all[0]! + i));
    expect(all.at(-1)).toBe(9999);
  } finally {
    await rm(stateDir, { recursive: true });
  }
});
