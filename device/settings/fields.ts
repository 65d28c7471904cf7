/** The vocabulary of the configuration files: small schemas with the words that appear when they do not fit. */
import { z } from 'zod';

/** Appears in the reference and in forms. */
export const help = (description: string) => ({ description });

/** Part of topics, paths and file names. */
const CAMERA_ID = /^[a-z0-9][a-z0-9_-]{0,31}$/;
const NODE_ID = /^[a-z0-9][a-z0-9_-]{0,62}$/;

export const id = z
  .string()
  .regex(CAMERA_ID, 'must be 1 to 32 of a-z, 0-9, - and _, and begin with a letter or digit');

export const nodeId = z
  .string()
  .regex(NODE_ID, 'must be 1 to 63 of a-z, 0-9, - and _, and begin with a letter or digit');

export const words = z.string().regex(/\S/, 'must not be empty');

export const fraction = z.number().min(0).max(1);

/** Not `z.int()`: where that fails, rules over several keys are skipped, and their problems would stay hidden. */
export const whole = (min: number, max: number) =>
  z.number().multipleOf(1, 'must be a whole number').min(min).max(max);

export const port = whole(0, 65_535);

/** See `matches` of the bus. */
export const topicGlob = z
  .string()
  .max(200)
  .regex(/^(\*{1,2}|[^*+#/.\s]+)(\.(\*{1,2}|[^*+#/.\s]+))*$/, 'must be like event.new, status.* or *');

const point = z.tuple([fraction, fraction]);

export const polygon = z
  .array(point)
  .min(3, 'must have at least 3 corners [x, y]')
  .max(64)
  .meta({ description: 'Corners [x, y] as fractions of the picture, origin top left' });

export const bounds = z
  .tuple([fraction, fraction, fraction, fraction])
  .refine(([x1, y1, x2, y2]) => x1 < x2 && y1 < y2, 'must be [x1, y1, x2, y2] with x1 < x2 and y1 < y2')
  .meta({ description: 'Rectangle [x1, y1, x2, y2] as fractions of the picture' });

/** Credentials are refused here because addresses end up in logs, messages and backups. */
const address = (protocols: RegExp, example: string, secret: string) =>
  z.string().superRefine((url, context) => {
    const problem = addressProblem(url, protocols, example, secret);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });

export const rtspUrl = address(/^rtsps?:$/, 'rtsp://host[:port]/path', 'cameras.<id>.password');
export const mqttUrl = address(/^mqtts?:$/, 'mqtt://host[:port]', 'bus.bridge.password');
export const httpUrl = address(/^https?:$/, 'https://host[:port]/path', 'nothing');

function addressProblem(url: string, protocols: RegExp, example: string, secret: string): string | null {
  const parsed = URL.parse(url);
  const credentials = parsed ? parsed.username !== '' || parsed.password !== '' : url.includes('@');
  if (credentials) {
    return `must not contain user name and password: set \`username\` beside it, and ${secret} in secrets.yaml`;
  }
  const usable = parsed !== null && protocols.test(parsed.protocol) && parsed.hostname !== '';
  return usable ? null : `must be an address like ${example}`;
}
