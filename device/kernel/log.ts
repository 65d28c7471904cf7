import { pino, type Logger } from 'pino';

export type Log = Logger;

/**
 * One JSON line per message on stderr; readable lines when a person watches.
 * Credentials inside URLs are blanked, whoever logs them.
 */
export function createLog(options: { name: string; level: string }): Log {
  return pino(
    {
      level: options.level,
      base: { name: options.name },
      hooks: {
        streamWrite: (line) => redactUrls(line),
      },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** `rtsp://user:secret@host/` → `rtsp://***@host/`. */
export const redactUrls = (text: string): string =>
  text.replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, '$1***@');
