/** The secret of an `authorization: Bearer …` header; null without one. */
export const readBearer = (header: string | string[] | undefined): string | null =>
  /^Bearer +(\S{1,512}) *$/i.exec(String(header ?? ''))?.[1] ?? null;
