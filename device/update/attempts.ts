/**
 * In words, what the image noted of a slot on trial: a line for each attempt that its kernel began (`SLOT LEFT started`), another
 * one where the initial RAM disk gave up (`SLOT LEFT REASON`). Pure.
 */
export function attemptsInWords(notes: string): string {
  const lines = [...notes.matchAll(/^([AB]) (\d) (.+)$/gm)];
  const often = new Set(lines.map(([, slot, left]) => `${slot}${left}`)).size;
  const reason = lines.map(([, , , text]) => text).findLast((text) => text !== 'started');
  const times = often === 0 ? '' : often === 1 ? ', and was tried once' : `, and was tried ${often} times`;
  return `it did not get as far as its health gate${times}${reason === undefined ? '' : `: ${reason}`}`;
}
