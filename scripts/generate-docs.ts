/**
 * Writes the documents that follow from tables and schemas in the code: `npm run docs`.
 * With `--check` nothing is written; it ends with 1 when one is out of date.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { format, type FormatConfig } from 'oxfmt';
import { asyncapiDocument } from './docs/asyncapi.ts';
import { commandsDocument } from './docs/commands.ts';
import { openapiDocument } from './docs/openapi.ts';
import { settingsDocument, settingsJsonSchema } from './docs/settings.ts';
import { errorsDocument, metricsDocument } from './docs/tables.ts';
import { topicsDocument } from './docs/topics.ts';

const ROOT = new URL('../', import.meta.url);

const DOCUMENTS: Readonly<Record<string, () => string>> = {
  'config/schema.json': settingsJsonSchema,
  'device/design/asyncapi.yaml': asyncapiDocument,
  'device/design/commands.md': commandsDocument,
  'device/design/errors.md': errorsDocument,
  'device/design/metrics.md': metricsDocument,
  'device/design/openapi.yaml': openapiDocument,
  'device/design/settings.md': settingsDocument,
  'device/design/topics.md': topicsDocument,
};

/** Path in the repository → text, as the formatter wants it. */
export async function generateDocuments(): Promise<ReadonlyMap<string, string>> {
  const style = JSON.parse(await readFile(new URL('.oxfmtrc.json', ROOT), 'utf8')) as FormatConfig;
  const documents = Object.entries(DOCUMENTS).map(async ([path, text]) => {
    if (path.endsWith('.md')) return [path, text()] as const;
    const { code, errors } = await format(path, text(), style);
    if (errors[0]) throw new Error(`${path}: ${errors[0].message}`);
    return [path, code] as const;
  });
  return new Map(await Promise.all(documents));
}

async function main(check: boolean): Promise<number> {
  let outdated = 0;
  for (const [path, text] of await generateDocuments()) {
    const file = new URL(path, ROOT);
    if ((await readFile(file, 'utf8').catch(() => null)) === text) continue;
    outdated += 1;
    if (!check) await writeFile(file, text);
    process.stdout.write(`${path} ${check ? 'is out of date' : 'written'}\n`);
  }
  return check && outdated > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.includes('--check'));
