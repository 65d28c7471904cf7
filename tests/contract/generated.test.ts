import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { COMMANDS } from '../../device/contract/commands.ts';
import { ERRORS } from '../../device/contract/errors.ts';
import { COUNTERS, GAUGES, HISTOGRAMS } from '../../device/contract/metrics.ts';
import { TOPICS } from '../../device/contract/topics.ts';
import { generateDocuments } from '../../scripts/generate-docs.ts';

const documents = await generateDocuments();

test.each([...documents])('%s is what the code says now (else: npm run docs)', (path, text) => {
  expect(readFileSync(path, 'utf8')).toBe(text);
});

test.each([
  ['device/design/topics.md', TOPICS],
  ['device/design/commands.md', COMMANDS],
  ['device/design/errors.md', ERRORS],
  ['device/design/metrics.md', { ...COUNTERS, ...GAUGES, ...HISTOGRAMS }],
])('%s leaves nothing out', (path, table) => {
  const text = documents.get(path) ?? '';
  expect(Object.keys(table).filter((name) => !text.includes(name))).toEqual([]);
});

test('a document is the same every time', async () => {
  expect(await generateDocuments()).toEqual(documents);
});
