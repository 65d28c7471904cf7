import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { get } from 'node:https';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { command } from '../bus/index.ts';
import { CodedError } from '../contract/errors.ts';
import type { Settings } from '../contract/settings.ts';
import { Access } from '../control/index.ts';
import { addRun, readRuns, runGate, type Ask, type GateRun, type Verdict } from '../gate/index.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog, type Log } from '../kernel/log.ts';
import { loadSettings } from '../settings/index.ts';
import { findHome } from '../update/index.ts';
import { loadOptions, parse, parseNumber, PLACES, PLACES_HELP, type Verb } from './verb.ts';
import { readBuildInfo } from './version.ts';

export const verb: Verb = {
  help: `
usage: spyoncino health-gate [--wait SECONDS] [--unit NAME] [--json]

Proves, beside a running agent, that the recorder does its work: a picture of a camera, a clip on the data partition, a
question and its answer over the bus, the control API over TLS. For the unit that keeps or drops a new version; it marks
nothing itself. The report goes to state/health-gate.json in the data directory.

  --wait SECONDS  how long the proof may take (default 180)
  --unit NAME     the agent's unit in systemd: one that is started again and again has failed
  --json          the report on standard output, as one JSON object
${PLACES_HELP}

Exit code 0: good; 1: failed, and will fail again; 2: unknown, as it was not proven in time.
`,
  async run(argv) {
    const { values } = parse(argv, {
      ...PLACES,
      wait: { type: 'string', default: '180' },
      unit: { type: 'string' },
      json: { type: 'boolean', default: false },
    });
    const waitMs = 1000 * parseNumber('wait', values.wait, 0, 3600);
    const options = loadOptions(values);
    const log = createLog({ name: 'health-gate', level: 'info' });
    const startedUtcMs = systemClock.utcMs();
    const stopping = new AbortController();
    const stop = (): void => stopping.abort();
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    let stateDir = join(options.dataDir, 'state');
    let verdict: Verdict;
    try {
      const { settings } = await loadSettings(options);
      stateDir = join(settings.dataDir, 'state');
      await using credentials = await borrowCredentials(stateDir, log);
      verdict = await runGate({
        dataDir: settings.dataDir,
        stateDir,
        ask: askBy(settings, credentials),
        api: () => statusOfApi(settings, options.configDir),
        restarts: () => restartsOf(values.unit),
        isConfigured: settings.cameras.length > 0,
        waitMs,
        clock: systemClock,
        signal: stopping.signal,
      });
    } catch (error) {
      verdict = refuted(error);
    } finally {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    }
    const run = await runOf(verdict, stateDir, startedUtcMs);
    // A disk that takes no report is one of the reasons.
    await addRun(stateDir, run).catch((error: unknown) =>
      log.warn({ err: error }, 'the report cannot be kept'),
    );
    process.stdout.write(values.json ? `${JSON.stringify(run)}\n` : inWords(run));
    return EXIT_CODES[run.outcome];
  },
};

const EXIT_CODES = { good: 0, failed: 1, unknown: 2 } as const;
const ASK_PATIENCE_MS = 10_000;
const TOKEN_MS = 3600_000;

interface BorrowedCredentials extends AsyncDisposable {
  readonly username: string;
  readonly password: string;
}

/** A token of our own, for as long as we run: the agent takes notice at once. */
async function borrowCredentials(stateDir: string, log: Log): Promise<BorrowedCredentials | null> {
  try {
    const access = await Access.open({ stateDir, clock: systemClock });
    const username = `health-gate-${randomBytes(4).toString('hex')}`;
    const password = await access.addToken(username, 'operator', systemClock.utcMs() + TOKEN_MS);
    return {
      username,
      password,
      [Symbol.asyncDispose]: () =>
        access
          .remove(username)
          .catch((error: unknown) => log.warn({ err: error }, 'the token stays for an hour')),
    };
  } catch (error) {
    // The check of the data partition says so as well.
    log.warn({ err: error }, 'there are no credentials for the bus');
    return null;
  }
}

const askBy =
  ({ bus }: Settings, credentials: BorrowedCredentials | null): Ask =>
  async (name, about = {}) => {
    if (!credentials) throw new CodedError('UNAUTHENTICATED', 'no token could be written');
    const { error, result } = await command({
      host: '127.0.0.1',
      port: bus.port,
      username: credentials.username,
      password: credentials.password,
      request: {
        command: name,
        ...(about.cameraId === undefined ? {} : { camera_id: about.cameraId }),
        ...(about.arguments === undefined ? {} : { arguments: { ...about.arguments } }),
      },
      timeoutMs: ASK_PATIENCE_MS,
    });
    if (error) throw CodedError.of(error);
    return result;
  };

/** The certificate must be that of the device's own authority, or the one that the owner put in its place. */
async function statusOfApi({ controlApi, dataDir }: Settings, configDir: string): Promise<number> {
  const certsDir = resolve(process.env.SPYONCINO_CERTS_DIR || join(configDir, 'certs'));
  const own = await readFile(join(certsDir, 'control-api.crt'), 'utf8').catch(() => null);
  const ca = own ?? (await readFile(join(dataDir, 'state', 'tls', 'authority.crt'), 'utf8'));
  return await new Promise((resolve, reject) => {
    const request = get(
      {
        host: '127.0.0.1',
        port: controlApi.port,
        path: '/health',
        ca,
        // It is ours by whom it is signed by, whatever this box is called today.
        checkServerIdentity: () => undefined,
        timeout: ASK_PATIENCE_MS,
        agent: false,
      },
      (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode ?? 0));
        response.once('error', reject);
      },
    );
    request.once('timeout', () => request.destroy(new Error('no answer in time')));
    request.once('error', reject);
  });
}

async function restartsOf(unit: string | undefined): Promise<number | 'failed' | null> {
  if (unit === undefined) return null;
  try {
    const { stdout } = await promisify(execFile)(
      'systemctl',
      ['show', '--property=NRestarts', '--property=ActiveState', unit],
      { timeout: ASK_PATIENCE_MS },
    );
    if (/^ActiveState=failed$/m.test(stdout)) return 'failed';
    return Number(/^NRestarts=(\d+)$/m.exec(stdout)?.[1] ?? 0);
  } catch {
    return null; // no systemd, or too busy: the other checks decide
  }
}

/** What keeps us from looking at all. */
function refuted(error: unknown): Verdict {
  const detail = error instanceof Error ? error.message : String(error);
  const reason = new CodedError('GATE_SETTINGS_INVALID', detail, { cause: error }).report();
  return {
    outcome: 'failed',
    tookMs: 0,
    checks: [{ check: 'agent', outcome: 'failed', reason, seen: null }],
  };
}

async function runOf(verdict: Verdict, stateDir: string, startedUtcMs: number): Promise<GateRun> {
  const home = await findHome(process.env);
  const version = home.kind === 'image' ? home.version : (await readBuildInfo()).version;
  const before = await readRuns(stateDir);
  const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return {
    outcome: verdict.outcome,
    version,
    attempt: before.filter((run) => run.version === version).length + 1,
    boot_id: bootId.trim(),
    started_ts: startedUtcMs,
    took_ms: Math.round(verdict.tookMs),
    checks: [...verdict.checks],
  };
}

function inWords({ checks, outcome, version }: GateRun): string {
  const lines = checks.map(
    ({ check, outcome, reason, seen }) =>
      `  ${check.padEnd(9)} ${outcome.padEnd(8)} ${reason?.message ?? seen ?? ''}`,
  );
  return `${version}: ${outcome}\n${lines.join('\n')}\n`;
}
