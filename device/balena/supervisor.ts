import { request } from 'node:http';
import { z } from 'zod';
import { CodedError } from '../contract/errors.ts';

/** Of `GET /v1/device` what we tell. */
const deviceSchema = z.object({
  status: z.string().nullish(),
  commit: z.string().nullish(),
  os_version: z.string().nullish(),
  update_pending: z.boolean().nullish(),
  update_downloaded: z.boolean().nullish(),
  update_failed: z.boolean().nullish(),
  download_progress: z.number().nullish(),
});
export type SupervisedDevice = z.output<typeof deviceSchema>;

const TIMEOUT_MS = 5000;
const MAX_ANSWER_BYTES = 65_536;

/** The supervisor's HTTP API, as far as we use it (https://docs.balena.io, "Interacting with the balena Supervisor"). */
export class Supervisor {
  readonly #address: string;
  readonly #key: string;

  /** The key goes into a header, never into an address. */
  constructor(address: string, key: string) {
    this.#address = address;
    this.#key = key;
  }

  /** @throws CodedError BALENA_UNREACHABLE */
  async device(signal: AbortSignal): Promise<SupervisedDevice> {
    const { status, text } = await this.#ask('GET', '/v1/device', null, signal);
    if (status !== 200) throw new CodedError('BALENA_UNREACHABLE', `it answered ${status}`);
    try {
      return deviceSchema.parse(JSON.parse(text));
    } catch (error) {
      throw new CodedError('BALENA_UNREACHABLE', 'its answer is not understood', { cause: error });
    }
  }

  /** false: this supervisor knows no tags. @throws CodedError BALENA_UNREACHABLE */
  async setTags(tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<boolean> {
    const { status } = await this.#ask('PATCH', '/v2/device/tags', JSON.stringify(tags), signal);
    if (status === 404) return false;
    if (status >= 300) throw new CodedError('BALENA_UNREACHABLE', `it answered ${status}`);
    return true;
  }

  #ask(
    method: 'GET' | 'PATCH',
    path: string,
    body: string | null,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const failed = (cause: unknown): void =>
      reject(new CodedError('BALENA_UNREACHABLE', 'it does not answer', { cause }));
    const sent = request(new URL(path, this.#address), {
      method,
      agent: false,
      headers: {
        authorization: `Bearer ${this.#key}`,
        ...(body === null ? {} : { 'content-type': 'application/json' }),
      },
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    sent.on('error', failed);
    sent.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        if (text.length > MAX_ANSWER_BYTES) sent.destroy(new Error('its answer has no end'));
      });
      response.on('error', failed);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.end(body ?? undefined);
    return promise;
  }
}
