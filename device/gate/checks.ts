import { randomBytes } from 'node:crypto';
import { open, readFile, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { CodedError, ERRORS, type ErrorCode } from '../contract/errors.ts';
import { GATE_LABEL } from '../contract/update.ts';
import { makeDirectoryDurable } from '../kernel/durable-file.ts';

/** What one look shows. `failed`: it will not get better by looking again. */
export type Look =
  | { readonly state: 'passed'; readonly seen: string }
  | { readonly state: 'skipped'; readonly seen: string }
  | { readonly state: 'pending' | 'failed'; readonly reason: CodedError };

/** Asks the agent, over its bus; throws what it answers in place of a result. */
export type Ask = (command: string, about?: { cameraId?: string; arguments?: object }) => Promise<unknown>;

const passed = (seen: string): Look => ({ state: 'passed', seen });
const pending = (reason: CodedError): Look => ({ state: 'pending', reason });
const failed = (reason: CodedError): Look => ({ state: 'failed', reason });
const coded = (code: ErrorCode, error: unknown): CodedError =>
  new CodedError(code, error instanceof Error ? error.message : String(error), { cause: error });

const reasons = z.array(z.object({ code: z.string(), message: z.string() }));
const moduleHealth = z.object({ status: z.string(), reasons });
const summarySchema = z.object({
  modules: z.record(
    z.string(),
    moduleHealth.extend({ instances: z.record(z.string(), moduleHealth).optional() }),
  ),
});
export type Summary = z.output<typeof summarySchema>;

const PROBE_BYTES = 4096;

/** Something written to the data partition can be read again. */
export async function lookAtData(stateDir: string): Promise<Look> {
  const path = join(stateDir, '.health-gate-probe');
  const written = randomBytes(PROBE_BYTES);
  try {
    await makeDirectoryDurable(stateDir);
    try {
      await using file = await open(path, 'w', 0o600);
      await file.writeFile(written);
      await file.sync();
      const read = await readFile(path);
      if (!read.equals(written))
        return failed(new CodedError('GATE_DATA_NOT_WRITABLE', 'it reads other bytes'));
    } finally {
      await rm(path, { force: true });
    }
    return passed(`${PROBE_BYTES} bytes written and read`);
  } catch (error) {
    return failed(coded('GATE_DATA_NOT_WRITABLE', error));
  }
}

/** A question crosses the bus to the agent, and its answer comes back. Its answer is how all modules are. */
export async function lookAtBus(ask: Ask): Promise<{ look: Look; summary: Summary | null }> {
  let answer: unknown;
  try {
    answer = await ask('system.status');
  } catch (error) {
    const isAbsent =
      error instanceof CodedError && (error.code === 'BUS_UNREACHABLE' || error.code === 'COMMAND_TIMEOUT');
    const look = isAbsent
      ? pending(coded('GATE_AGENT_SILENT', error))
      : failed(coded('GATE_BUS_FAILED', error));
    return { look, summary: null };
  }
  const summary = summarySchema.safeParse(answer);
  return summary.success
    ? { look: passed('asked and answered'), summary: summary.data }
    : { look: failed(new CodedError('GATE_BUS_FAILED', 'the answer makes no sense')), summary: null };
}

/** The API answers over TLS; `get` resolves to the status of GET /health. */
export async function lookAtApi(get: () => Promise<number>, isAgentThere: boolean): Promise<Look> {
  try {
    const status = await get();
    return status === 200 ? passed('HTTP 200') : failed(new CodedError('GATE_API_FAILED', `HTTP ${status}`));
  } catch (error) {
    const reason = coded('GATE_API_FAILED', error);
    // While the agent starts there is neither a port nor a certificate.
    return isAgentThere ? failed(reason) : pending(reason);
  }
}

/** Cameras that somebody wants: `null` while the agent has not said. */
export function camerasIn(
  summary: Summary,
): readonly { cameraId: string; status: string; codes: string[] }[] {
  return Object.entries(summary.modules)
    .filter(([id]) => id.startsWith('modules.input.'))
    .flatMap(([, { instances = {} }]) => Object.entries(instances))
    .filter(([, { status }]) => status !== 'disabled')
    .map(([cameraId, { status, reasons }]) => ({ cameraId, status, codes: reasons.map(({ code }) => code) }));
}

/** A picture of `cameraId` that was taken since `sinceUtcMs`, as a file on the data partition. */
export async function lookAtFrame(
  ask: Ask,
  camera: { cameraId: string; codes: readonly string[] },
  dataDir: string,
  sinceUtcMs: number,
): Promise<Look> {
  const { cameraId, codes } = camera;
  try {
    const { path } = z.object({ path: z.string() }).parse(await ask('camera.snapshot', { cameraId }));
    const file = resolve(dataDir, path);
    const bytes = await readFile(file);
    const { mtimeMs } = await stat(file);
    const isJpeg = bytes[0] === 0xff && bytes[1] === 0xd8;
    // Clocks of file systems are coarser than ours.
    const isFresh = mtimeMs >= sinceUtcMs - 1000;
    if (isJpeg && isFresh) return passed(`camera ${cameraId}, ${bytes.length} bytes`);
    return pending(new CodedError('GATE_NO_FRAME', `camera ${cameraId} has no picture of now`));
  } catch (error) {
    const ours = codes.find((code) => code in ERRORS && ERRORS[code as ErrorCode].fault === 'internal');
    const why = codes[0] ?? (error instanceof CodedError ? error.code : (error as Error).message);
    const reason = new CodedError('GATE_NO_FRAME', `camera ${cameraId}: ${ours ?? why}`, { cause: error });
    // A camera without power is not the fault of a new version; a process that dies with it may be.
    return ours === undefined ? pending(reason) : failed(reason);
  }
}

/** Asks for a short test event; resolves to its id. */
export async function beginFragment(ask: Ask, cameraId: string): Promise<string> {
  const answer = await ask('event.create', {
    cameraId,
    arguments: { label: GATE_LABEL, duration_seconds: 1 },
  });
  return z.object({ event_id: z.string() }).parse(answer).event_id;
}

/** The clip of the test event is a file of whole fragments on the data partition. */
export async function lookAtFragment(ask: Ask, eventId: string, dataDir: string): Promise<Look> {
  try {
    const answer = await ask('recordings.get', { arguments: { item_id: eventId } });
    const { path } = z.object({ path: z.string() }).parse(answer);
    const file = await readFile(resolve(dataDir, path));
    const isMovie = file.subarray(4, 8).toString('latin1') === 'ftyp' && file.includes('mdat');
    return isMovie
      ? passed(`${path}, ${file.length} bytes`)
      : pending(new CodedError('GATE_NO_FRAGMENT', `${path} holds no footage yet`));
  } catch (error) {
    return pending(coded('GATE_NO_FRAGMENT', error));
  }
}

/** What the agent itself says of the disk. */
export function storageTrouble(summary: Summary): Look | null {
  const storage = summary.modules['modules.storage.retention'];
  if (storage?.status !== 'error') return null;
  return failed(new CodedError('GATE_NO_FRAGMENT', storage.reasons.map(({ message }) => message).join('; ')));
}
