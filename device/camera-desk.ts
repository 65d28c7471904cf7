import { fileURLToPath } from 'node:url';
import { cameraPayload, publishFact, publishFootage, type Bus, type OriginalTopics } from './bus/index.ts';
import { CameraQuestions } from './camera-questions.ts';
import { CodedError, type ErrorReport } from './contract/errors.ts';
import type {
  CameraFact,
  CameraPhase,
  EventFact,
  EventState,
  Fact,
  GapFact,
  StillFact,
  PreviewFact,
} from './contract/facts.ts';
import type { CameraHostCommand, CameraHostMessage } from './contract/host.ts';
import type { StreamRole } from './contract/media.ts';
import type { Meter } from './contract/metrics.ts';
import type { ModuleWork } from './contract/modules.ts';
import type { CameraSettings } from './contract/settings.ts';
import type { Payload } from './contract/topics.ts';
import type { Clock } from './kernel/clock.ts';
import { SupervisedChild, type ChildExit, type Launcher } from './kernel/child.ts';
import type { Log } from './kernel/log.ts';
import { TaskSet } from './kernel/tasks.ts';
import type { Library } from './library/index.ts';
import { MetricsDesk } from './metrics-desk.ts';
import { inputOf } from './modules.ts';
import { needsNetwork } from './offline.ts';
import type { Snapshot } from './stills.ts';

export interface CameraDeskOptions {
  readonly settings: CameraSettings;
  /** Module that the host runs; `camera-host.ts` when undefined. */
  readonly entry: string | undefined;
  readonly dataDir: string;
  readonly logLevel: string;
  readonly detectSocket: string;
  /** Starts those that need no network without it; null: they have it as well. */
  readonly offline: Launcher | null;
  /** null: nobody makes trouble on purpose. */
  readonly work: ModuleWork | null;
  /** Names the next process; never gives the same name twice, whichever camera asks. */
  readonly nextRun: () => string;
  readonly bus: Pick<Bus, 'publish'>;
  readonly original: OriginalTopics;
  readonly library: Library;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
  readonly onStill: (still: StillFact) => void;
  readonly onPreview: (preview: PreviewFact) => void;
  /** Footage was lost, and that has been published. */
  readonly onGap: (gap: GapFact) => void;
  /** The state of the camera has been published. */
  readonly onState: (state: CameraPhase) => void;
}

/** Whatever trouble is made: footage is not touched, nor what says where there is none. */
const FOOTAGE = new Set<Fact['type']>(['camera', 'clip.ready', 'segment.ready', 'gap']);

export interface CameraSummary {
  readonly cameraId: string;
  readonly state: CameraPhase;
  /** For people: the stream, or what is wrong. */
  readonly detail: string;
}

/**
 * A camera host moves packets, it does not keep objects: a small heap, collected on the one thread that is awake
 * anyway (helper threads cost a sixth of the whole host in wake-ups, see design/capture-cost.md).
 */
export const CAMERA_HOST_FLAGS = [
  '--max-semi-space-size=1',
  '--max-old-space-size=96',
  '--single-threaded-gc',
];
export const CAMERA_HOST_ENV = {
  // Two streams being read, one coded, a write and a still, and one to spare for a disk that hangs.
  UV_THREADPOOL_SIZE: '6',
  // Memory freed in the many arenas of glibc's default is not given back.
  MALLOC_ARENA_MAX: '2',
};

/**
 * The agent's side of one camera: keeps its host alive, has what it says published and indexed, and speaks for it
 * when it dies (open events end as `interrupted`, the status names the reason).
 *
 * Events are published at once and indexed behind; footage is published when the index has it.
 */
export class CameraDesk {
  /** Whether its host may reach the network. */
  readonly hasNetwork: boolean;
  readonly #o: CameraDeskOptions;
  readonly #child: SupervisedChild<CameraHostCommand, CameraHostMessage>;
  readonly #metrics: MetricsDesk;
  readonly #questions: CameraQuestions;
  readonly #streams = new Map<StreamRole, CameraFact>();
  readonly #openEvents = new Map<string, EventState>();
  readonly #tasks: TaskSet;
  #state: Payload<'status.camera.*'>;

  constructor(options: CameraDeskOptions) {
    this.#o = options;
    const { settings, dataDir, logLevel, detectSocket, library, nextRun, clock, log } = options;
    const launcher = needsNetwork(settings.source) ? null : options.offline;
    this.hasNetwork = launcher === null;
    this.#tasks = new TaskSet((name, error) =>
      log.error({ err: error, task: name }, 'background work failed'),
    );
    this.#child = new SupervisedChild<CameraHostCommand, CameraHostMessage>({
      name: `camera ${settings.cameraId}`,
      entry: options.entry ?? fileURLToPath(new URL('./camera-host.ts', import.meta.url)),
      nodeFlags: CAMERA_HOST_FLAGS,
      launcher,
      env: CAMERA_HOST_ENV,
      log,
      clock,
      greet: () => ({
        type: 'start',
        settings,
        dataDir,
        mediaId: library.mediaId,
        logLevel,
        run: nextRun(),
        detectSocket,
      }),
      stopCommand: { type: 'stop' },
      drainMs: 10_000,
      onMessage: (message) => {
        if (message.type === 'metrics') this.#metrics.answer(message);
        else if (message.type === 'answer') this.#questions.answer(message);
        else this.#hear(message.fact);
      },
      onExit: (exit) => this.#mourn(exit),
    });
    this.#metrics = new MetricsDesk(clock, (request) => this.#child.send(request));
    this.#questions = new CameraQuestions(clock, (command) => this.#child.send(command));
    this.#state = cameraPayload(settings.cameraId, [], null);
  }

  start(): void {
    this.#publishState({ phase: 'starting', sinceUtcMs: this.#o.clock.utcMs(), reason: null });
    this.#child.start();
  }

  /** Its host is told anew what it needs to know. */
  restart(): void {
    this.#child.restart();
  }

  async stop(): Promise<void> {
    await this.#child.stop();
    await this.#tasks.settle();
  }

  metrics(): Promise<readonly object[]> {
    return this.#metrics.ask();
  }

  /** A picture of now. @throws CodedError CAMERA_NOT_RUNNING, COMMAND_TIMEOUT, and what the disk says */
  async snapshot(): Promise<Snapshot> {
    return (await this.#questions.ask({ kind: 'snapshot' })) as Snapshot;
  }

  /** Begins an event that nobody saw; its id. @throws CodedError CAMERA_NOT_RUNNING, COMMAND_TIMEOUT */
  async testEvent(label: string, durationMs: number): Promise<string> {
    const answer = await this.#questions.ask({ kind: 'event', label, durationMs });
    return (answer as { eventId: string }).eventId;
  }

  /** How it is now. */
  get hasOpenEvent(): boolean {
    return this.#openEvents.size > 0;
  }

  get state(): Payload<'status.camera.*'> {
    return this.#state;
  }

  /** State and, in words, the streams or what ails them. */
  summary(): CameraSummary {
    const { state, reason, streams } = this.#state;
    const working = streams.map(
      ({ role, codec, width, height, audio, encoder }) =>
        `${role} ${codec ?? '?'} ${width ?? '?'}×${height ?? '?'}${audio ? ` + ${audio}` : ''}${encoder ? ` (by ${encoder})` : ''}`,
    );
    return {
      cameraId: this.#o.settings.cameraId,
      state,
      detail: reason ? `${reason.message} ${reason.advice}` : working.join(', '),
    };
  }

  #hear(fact: Fact): void {
    const { settings, work } = this.#o;
    if (!work || FOOTAGE.has(fact.type)) this.#take(fact);
    else work.pass(inputOf(settings), () => this.#take(fact));
  }

  #take(fact: Fact): void {
    const { bus, library, original } = this.#o;
    switch (fact.type) {
      case 'camera':
        this.#streams.set(fact.role, fact);
        library.take(fact);
        this.#publishState(null);
        break;
      case 'event':
        this.#takeEvent(fact);
        break;
      case 'clip.ready':
      case 'segment.ready':
        this.#tasks.run('publish footage', async () => {
          const indexed = await library.footage(fact);
          // Whoever recovers footage cannot know what was told before.
          if (fact.recovered && indexed?.isNew === false) return;
          publishFootage(bus, fact, indexed?.link ?? null);
          if (fact.type === 'clip.ready') original.take(fact);
        });
        break;
      case 'still':
        library.take(fact);
        original.take(fact);
        this.#o.onStill(fact);
        break;
      case 'preview':
        this.#o.onPreview(fact);
        break;
      case 'gap':
        library.take(fact);
        publishFact(bus, fact);
        this.#o.onGap(fact);
        break;
      case 'motion':
        publishFact(bus, fact);
        original.take(fact);
        break;
      default:
        publishFact(bus, fact);
    }
  }

  #takeEvent(fact: EventFact): void {
    const { phase, event, frameArrivedUtcMs } = fact;
    if (phase === 'end') this.#openEvents.delete(event.eventId);
    else this.#openEvents.set(event.eventId, event);
    publishFact(this.#o.bus, fact);
    this.#o.original.take(fact);
    this.#o.library.take(fact);
    if (phase === 'new') {
      this.#o.meter.observe('spyoncino_frame_to_event_ms', this.#o.clock.utcMs() - frameArrivedUtcMs);
    }
  }

  #mourn({ expected, code, signal, retryInMs }: ChildExit): void {
    for (const event of this.#openEvents.values()) {
      const ended = { ...event, endUtcMs: event.lastSeenUtcMs, endReason: 'interrupted' as const };
      this.#takeEvent({ type: 'event', phase: 'end', event: ended, frameArrivedUtcMs: 0 });
    }
    this.#streams.clear();
    this.#questions.giveUp();
    if (!expected) {
      const how = signal ?? `exit ${code}`;
      this.#o.meter.count('spyoncino_child_exits_total', { child: 'camera', reason: how });
      const next = retryInMs === null ? '' : `, starts again in ${Math.round(retryInMs)} ms`;
      const reason = new CodedError('CAMERA_HOST_CRASHED', how + next).report();
      const { cameraId } = this.#o.settings;
      this.#o.library.outage({ cameraId, utcMs: this.#o.clock.utcMs(), reason });
      this.#publishState(this.#overall('down', reason));
    } else this.#publishState(this.#overall('stopped', null));
  }

  #overall(phase: 'down' | 'stopped', reason: ErrorReport | null) {
    return { phase, sinceUtcMs: this.#o.clock.utcMs(), reason };
  }

  #publishState(overall: Parameters<typeof cameraPayload>[2]): void {
    const { cameraId } = this.#o.settings;
    const payload = cameraPayload(cameraId, [...this.#streams.values()], overall);
    this.#state = payload;
    this.#o.bus.publish<'status.camera.*'>(`status.camera.${cameraId}`, payload);
    this.#o.onState(payload.state);
  }
}
