/** A Markdown table; bars and line breaks within cells are escaped. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |\n`).join('');

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

export const code = (text: string): string => `\`${text}\``;

/** First lines of each generated document. */
export const heading = (title: string, source: string): string =>
  `# ${title}\n\nGenerated from \`${source}\` by \`npm run docs\`; edit that instead.\n`;
