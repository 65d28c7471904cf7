import { pino, type Logger } from 'pino';

export type Log = Logger;

/**
 * JSON lines on stderr; readable lines when a person watches. Credentials inside URLs are blanked, whoever
 * logs them. Lines are written synchronously, so the last words before a crash are not lost.
 */
export function createLog(options: { name: string; level: string }): Log {
  const forPeople = process.stderr.isTTY;
  return pino(
    {
      level: options.level,
      base: { name: options.name },
      hooks: { streamWrite: (line) => (forPeople ? readable(redactUrls(line)) : redactUrls(line)) },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** `rtsp://user:secret@host/` → `rtsp://***@host/`. */
export const redactUrls = (text: string): string =>
  text.replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/"']+@/gi, '$1***@');

const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};

function readable(line: string): string {
  const { level, time, name, msg, err, ...rest } = JSON.parse(line) as {
    level: number;
    time: number;
    name: string;
    msg?: string;
    err?: { stack?: string };
  };
  const clock = new Date(time).toISOString().slice(11, 23);
  const details = Object.entries(rest).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const stack = err?.stack ? `\n${err.stack}` : '';
  return `${clock} ${(LEVELS[level] ?? String(level)).padEnd(5)} ${name}: ${msg ?? ''}${details.join('')}${stack}\n`;
}
