/** Messages of RTSP 1.0 (RFC 2326). */
import { CodedError } from '../../contract/errors.ts';

export const MAX_HEAD_BYTES = 16_384;
export const MAX_BODY_BYTES = 262_144;

/** An answer, or (a camera may ask too) a request. */
export interface Message {
  /** null: a request. */
  readonly status: number | null;
  /** Names in lower case; of a header that comes more than once, all values. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
}

export interface Head extends Omit<Message, 'body'> {
  readonly bodyBytes: number;
}

const ANSWER = /^RTSP\/1\.\d (\d{3})(?: |$)/;
const REQUEST = /^[A-Z_]+ \S+ RTSP\/1\.\d$/;

/** `text`: from the first line to the last header. Throws CAMERA_INPUT_INVALID. */
export function parseHead(text: string): Head {
  const [first = '', ...lines] = text.split(/\r\n|\n|\r/);
  const answer = ANSWER.exec(first);
  if (!answer && !REQUEST.test(first)) throw invalid('no RTSP message');
  const headers = new Map<string, string[]>();
  let values: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (/^[ \t]/.test(line) && values.length > 0) {
      // A header may go on in the next line.
      values.push(`${values.pop()} ${line.trim()}`);
    } else if (colon > 0) {
      const name = line.slice(0, colon).trim().toLowerCase();
      values = headers.get(name) ?? [];
      values.push(line.slice(colon + 1).trim());
      headers.set(name, values);
    }
  }
  const length = headers.get('content-length')?.[0] ?? '0';
  const bodyBytes = /^\d{1,9}$/.test(length) ? Number(length) : Infinity;
  if (bodyBytes > MAX_BODY_BYTES) throw invalid('an answer is too long');
  return { status: answer ? Number(answer[1]) : null, headers, bodyBytes };
}

export const header = (message: Pick<Message, 'headers'>, name: string): string | null =>
  message.headers.get(name)?.[0] ?? null;

/** `fields` without line breaks: nothing a camera says is repeated to it unchecked. */
export function formatRequest(method: string, uri: string, fields: Readonly<Record<string, string>>): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${oneLine(value)}`);
  return [`${method} ${oneLine(uri)} RTSP/1.0`, ...lines, '', ''].join('\r\n');
}

const oneLine = (text: string): string => text.replace(/[\r\n\0]/g, '');

export const invalid = (detail: string): CodedError => new CodedError('CAMERA_INPUT_INVALID', detail);
