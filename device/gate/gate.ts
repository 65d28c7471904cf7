import { CodedError, type ErrorCode } from '../contract/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import {
  beginFragment,
  camerasIn,
  lookAtApi,
  lookAtBus,
  lookAtData,
  lookAtFragment,
  lookAtFrame,
  storageTrouble,
  type Ask,
  type Look,
  type Summary,
} from './checks.ts';
import { CHECKS, type CheckName, type GateCheck, type GateOutcome } from './report.ts';

export interface GateOptions {
  readonly dataDir: string;
  readonly stateDir: string;
  readonly ask: Ask;
  /** Status of GET /health over TLS, with the certificate verified. */
  readonly api: () => Promise<number>;
  /** How often the agent's unit was started again, or that it gave up; null: nobody can say. */
  readonly restarts: () => Promise<number | 'failed' | null>;
  /** Somebody named a camera. Otherwise the agent waits for any to be attached, and none is missed. */
  readonly isConfigured: boolean;
  readonly waitMs: number;
  /** What says "failed" for so long, at every look, has failed. */
  readonly settleMs?: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface Verdict {
  readonly outcome: GateOutcome;
  readonly checks: readonly GateCheck[];
  readonly tookMs: number;
}

const LOOK_EVERY_MS = 1000;
const SETTLE_MS = 15_000;
/** An agent that was started so often since the box started will not stay. */
const MANY_RESTARTS = 3;
const NOT_YET: Readonly<Record<CheckName, ErrorCode>> = {
  agent: 'GATE_AGENT_SILENT',
  data: 'GATE_DATA_NOT_WRITABLE',
  bus: 'GATE_AGENT_SILENT',
  api: 'GATE_API_FAILED',
  frame: 'GATE_NO_FRAME',
  fragment: 'GATE_NO_FRAGMENT',
};

/**
 * Looks until everything is proven (`good`), something is refuted (`failed`), or time is over (`unknown`). What was
 * proven once stays so. One camera that works proves that cameras do: the others may be without power. Without any
 * camera that somebody wants, pictures and footage are skipped, and the rest decides.
 */
export async function runGate(o: GateOptions): Promise<Verdict> {
  const { clock, settleMs = SETTLE_MS, signal, waitMs } = o;
  const startMs = clock.monotonicMs();
  const startUtcMs = clock.utcMs();
  const looks = new Map<CheckName, Look>();
  const failingSince = new Map<CheckName, number>();
  const isOpen = (check: CheckName): boolean => looks.get(check)?.state !== 'passed';
  const eventIds = new Map<string, string>();

  const note = (check: CheckName, look: Look): void => {
    looks.set(check, look);
    if (look.state !== 'failed') failingSince.delete(check);
    else if (!failingSince.has(check)) failingSince.set(check, clock.monotonicMs());
  };
  const lookAtCameras = async (summary: Summary): Promise<void> => {
    const cameras = camerasIn(summary).filter(
      ({ codes }) => o.isConfigured || !codes.includes('CAMERA_DEVICE_MISSING'),
    );
    if (cameras.length === 0) {
      for (const check of ['frame', 'fragment'] as const) {
        note(check, { state: 'skipped', seen: 'no camera is configured' });
      }
      return;
    }
    if (isOpen('frame')) {
      let frame: Look | null = null;
      for (const camera of cameras) {
        const look = await lookAtFrame(o.ask, camera, o.dataDir, startUtcMs);
        // The best of all that were looked at.
        if (frame === null || look.state === 'passed' || frame.state === 'failed') frame = look;
        if (look.state !== 'passed') continue;
        await ensureEvent(camera.cameraId);
        break;
      }
      if (frame) note('frame', frame);
    }
    if (isOpen('fragment'))
      note('fragment', (await findFragment()) ?? storageTrouble(summary) ?? NO_FRAGMENT);
  };
  const ensureEvent = async (cameraId: string): Promise<void> => {
    if (eventIds.has(cameraId)) return;
    // What refuses it now is met again at the next look.
    const eventId = await beginFragment(o.ask, cameraId).catch(() => null);
    if (eventId !== null) eventIds.set(cameraId, eventId);
  };
  const findFragment = async (): Promise<Look | null> => {
    for (const eventId of eventIds.values()) {
      const look = await lookAtFragment(o.ask, eventId, o.dataDir);
      if (look.state === 'passed') return look;
    }
    return null;
  };
  const lookAtAll = async (): Promise<void> => {
    const restarts = await o.restarts();
    if (restarts === 'failed' || (restarts !== null && restarts >= MANY_RESTARTS)) {
      const seen = restarts === 'failed' ? 'its unit has failed' : `started again ${restarts} times`;
      note('agent', { state: 'failed', reason: new CodedError('GATE_AGENT_CRASHES', seen) });
    } else {
      const seen = restarts === null ? 'no unit was named' : `started again ${restarts} times`;
      note('agent', { state: restarts === null ? 'skipped' : 'passed', seen });
    }
    if (isOpen('data')) note('data', await lookAtData(o.stateDir));
    const { look, summary } = await lookAtBus(o.ask);
    note('bus', look);
    if (isOpen('api')) note('api', await lookAtApi(o.api, summary !== null));
    if (summary) await lookAtCameras(summary);
  };

  for (;;) {
    await lookAtAll();
    const states = CHECKS.map((check) => looks.get(check)?.state);
    const tookMs = clock.monotonicMs() - startMs;
    const hasFailed = [...failingSince.values()].some((since) => clock.monotonicMs() - since >= settleMs);
    const isGood = states.every((state) => state === 'passed' || state === 'skipped');
    if (isGood || hasFailed || tookMs >= waitMs || signal.aborted) {
      const outcome = isGood ? 'good' : hasFailed ? 'failed' : 'unknown';
      return { outcome, tookMs, checks: CHECKS.map((check) => inWords(check, looks.get(check))) };
    }
    await clock.sleep(Math.min(LOOK_EVERY_MS, waitMs - tookMs), signal).catch(() => {});
  }
}

const NO_FRAGMENT: Look = {
  state: 'pending',
  reason: new CodedError('GATE_NO_FRAGMENT', 'no clip of the test event yet'),
};

function inWords(check: CheckName, look: Look | undefined): GateCheck {
  if (look?.state === 'passed' || look?.state === 'skipped') {
    return { check, outcome: look.state, reason: null, seen: look.seen };
  }
  const reason = look?.reason ?? new CodedError(NOT_YET[check], 'there was no chance to look');
  return {
    check,
    outcome: look?.state === 'failed' ? 'failed' : 'unknown',
    reason: reason.report(),
    seen: null,
  };
}
