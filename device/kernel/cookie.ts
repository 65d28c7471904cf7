/** The value of one cookie of a `cookie` header; null without it. */
export function readCookie(header: string | string[] | undefined, name: string): string | null {
  for (const pair of String(header ?? '').split(';')) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim() || null;
  }
  return null;
}
