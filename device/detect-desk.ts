import { fileURLToPath } from 'node:url';
import type { Bus } from './bus/index.ts';
import { CodedError, type ErrorReport } from './contract/errors.ts';
import type { DetectorInfo } from './contract/detect.ts';
import type { DetectHostCommand, DetectHostMessage } from './contract/host.ts';
import type { Meter } from './contract/metrics.ts';
import type { Trouble } from './contract/modules.ts';
import type { DetectionSettings } from './contract/settings.ts';
import type { Clock } from './kernel/clock.ts';
import { SupervisedChild } from './kernel/child.ts';
import type { Log } from './kernel/log.ts';
import { MetricsDesk } from './metrics-desk.ts';

export interface DetectDeskOptions {
  readonly settings: DetectionSettings;
  /** Module that the host runs; `detect-host.ts` when undefined. */
  readonly entry: string | undefined;
  readonly dataDir: string;
  readonly logLevel: string;
  /** Unix socket on which camera hosts reach the detector. */
  readonly socket: string;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
  readonly onState: (state: DetectorState) => void;
  /** What the resilience tester wants around its looks now. */
  readonly trouble: () => Trouble | null;
}

export type DetectorState =
  | { readonly state: 'starting' }
  /** `reason`: what it cannot do well. */
  | { readonly state: 'running'; readonly info: DetectorInfo; readonly reason: ErrorReport | null }
  | { readonly state: 'down'; readonly reason: ErrorReport };

/** Two seconds are how long somebody may be in a picture and gone again. */
const STARVED_MS = 2000;
/** A detect host that says nothing for so long does nothing, either. */
const SILENT_MS = 12_000;

/** The agent's side of the detect host: keeps it alive and says how it is. */
export class DetectDesk {
  readonly #o: DetectDeskOptions;
  readonly #child: SupervisedChild<DetectHostCommand, DetectHostMessage>;
  readonly #metrics: MetricsDesk;
  #failure: ErrorReport | null = null;
  #state: DetectorState = { state: 'starting' };
  /** Monotonic ms at which the host said how it is. */
  #heardMs = 0;

  constructor(options: DetectDeskOptions) {
    this.#o = options;
    const { settings, dataDir, logLevel, socket, clock, log, meter } = options;
    this.#child = new SupervisedChild<DetectHostCommand, DetectHostMessage>({
      name: 'detect',
      entry: options.entry ?? fileURLToPath(new URL('./detect-host.ts', import.meta.url)),
      log,
      clock,
      greet: () => ({ type: 'start', settings, dataDir, logLevel, socket, trouble: options.trouble() }),
      stopCommand: { type: 'stop' },
      drainMs: 3000,
      // A working detector that dies is wanted back at once; one that cannot load its model can wait.
      healthyAfterMs: 5000,
      onMessage: (message) => {
        if (message.type === 'metrics') this.#metrics.answer(message);
        else if (message.type === 'ready') {
          this.#heardMs = clock.monotonicMs();
          this.#setState({ state: 'running', info: message.info, reason: null });
        } else if (message.type === 'waits') this.#judge(message.longestMs);
        else this.#failure = message.reason;
      },
      onExit: ({ expected, code, signal }) => {
        if (expected) return;
        const how = signal ?? `exit ${code}`;
        meter.count('spyoncino_child_exits_total', { child: 'detect', reason: how });
        this.#setState({
          state: 'down',
          reason: this.#failure ?? new CodedError('DETECTOR_FAILED', how).report(),
        });
        this.#failure = null;
      },
    });
    this.#metrics = new MetricsDesk(clock, (request) => this.#child.send(request));
  }

  start(): void {
    this.#setState({ state: 'starting' });
    this.#child.start();
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }

  /** `trouble` says something else than before. */
  tellTrouble(): void {
    this.#child.send({ type: 'trouble', trouble: this.#o.trouble() });
  }

  get state(): DetectorState {
    const state = this.#state;
    const silentMs = this.#o.clock.monotonicMs() - this.#heardMs;
    if (state.state !== 'running' || silentMs < SILENT_MS) return state;
    return { ...state, reason: starved(silentMs) };
  }

  /** For people. */
  summary(): string {
    const state = this.#state;
    if (state.state === 'running') return `${state.info.modelId} on ${state.info.backend}`;
    return state.state === 'down' ? `down: ${state.reason.message} ${state.reason.advice}` : 'starting';
  }

  /** Told when it changes. */
  #judge(longestWaitMs: number): void {
    this.#heardMs = this.#o.clock.monotonicMs();
    const state = this.#state;
    if (state.state !== 'running') return;
    const isStarved = longestWaitMs >= STARVED_MS;
    if (isStarved === (state.reason !== null)) return;
    this.#setState({ ...state, reason: isStarved ? starved(longestWaitMs) : null });
  }

  #setState(state: DetectorState): void {
    this.#state = state;
    this.#o.onState(state);
  }

  metrics(): Promise<readonly object[]> {
    return this.#metrics.ask();
  }
}

const starved = (waitMs: number): ErrorReport =>
  new CodedError('DETECTOR_STARVED', `${(waitMs / 1000).toFixed(1)} s`).report();

export function publishDetectorState(bus: Pick<Bus, 'publish'>, state: DetectorState): void {
  bus.publish('status.detector', {
    state: state.state,
    model: state.state === 'running' ? state.info.modelId : null,
    backend: state.state === 'running' ? state.info.backend : null,
    reason: state.state === 'starting' ? null : state.reason,
  });
}
