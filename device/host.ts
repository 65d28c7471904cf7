import { CodedError } from './contract/errors.ts';
import type {
  CameraAnswer,
  CameraRequest,
  CameraRequestCommand,
  MetricsAnswer,
  MetricsRequest,
  StopCommand,
  TroubleCommand,
} from './contract/host.ts';
import type { ProcessMeter } from './health/index.ts';

interface HostContext<Message> {
  /** Aborts when the parent wants us to finish, or is gone. */
  readonly signal: AbortSignal;
  /** Drops the message when the parent is gone. */
  readonly send: (message: Message) => void;
  /** From now on the parent may ask for the numbers in `meter`. */
  readonly meterReady: (meter: ProcessMeter) => void;
  /** From now on the parent's requests are answered by `answer`; before that, and where it throws, with an error. */
  readonly onRequest: (answer: (request: CameraRequest) => unknown) => void;
  readonly onTrouble: (listener: (trouble: TroubleCommand['trouble']) => void) => void;
}

/**
 * The child's end of the IPC channel: runs `work` on the start command, and exits 0 when it returns, 1 when it
 * throws. A child never outlives its parent: a lost channel means "finish", like `stop` and SIGTERM do.
 */
export function serveParent<Start extends { type: 'start' }, Message extends object>(
  work: (start: Start, context: HostContext<Message>) => Promise<void>,
): void {
  const stopping = new AbortController();
  let meter: ProcessMeter | null = null;
  let answer: (request: CameraRequest) => unknown = () => {
    throw new CodedError('CAMERA_NOT_RUNNING', 'it is starting');
  };
  let hearTrouble: (trouble: TroubleCommand['trouble']) => void = () => {};
  const stop = (): void => stopping.abort();
  const post = (message: object): void => {
    if (process.connected) process.send!(message, undefined, undefined, () => {});
  };

  // Ctrl-C reaches the whole process group; the parent decides when its children finish.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', stop);
  process.on('disconnect', stop);
  process.on(
    'message',
    (command: Start | CameraRequestCommand | TroubleCommand | MetricsRequest | StopCommand) => {
      switch (command.type) {
        case 'start':
          run(command).catch(fail);
          break;
        case 'request':
          answerRequest(command).catch(fail);
          break;
        case 'metrics':
          answerMetrics(command.requestId).catch(fail);
          break;
        case 'trouble':
          hearTrouble(command.trouble);
          break;
        case 'stop':
          stop();
      }
    },
  );

  async function run(start: Start): Promise<void> {
    const context: HostContext<Message> = {
      signal: stopping.signal,
      send: post,
      meterReady: (ready) => (meter = ready),
      onRequest: (handler) => (answer = handler),
      onTrouble: (listener) => (hearTrouble = listener),
    };
    await work(start, context);
    if (process.connected) process.disconnect();
    process.exitCode = 0;
  }

  async function answerMetrics(requestId: number): Promise<void> {
    const metrics = meter ? await meter.registry.getMetricsAsJSON() : [];
    post({ type: 'metrics', requestId, metrics } satisfies MetricsAnswer);
  }

  async function answerRequest({ requestId, request }: CameraRequestCommand): Promise<void> {
    let given: CameraAnswer['answer'];
    try {
      given = { ok: true, value: await answer(request) };
    } catch (error) {
      given = { ok: false, error: CodedError.from(error, 'COMMAND_FAILED').report() };
    }
    post({ type: 'answer', requestId, answer: given } satisfies CameraAnswer);
  }

  function fail(error: unknown): void {
    if (error instanceof CodedError) {
      // Already told to the parent; what is sent leaves before the next turn of the event loop.
      setImmediate(() => process.exit(1));
      return;
    }
    // Uncaught on purpose: Node prints the chain of causes and exits with 1, the parent restarts us.
    queueMicrotask(() => {
      throw error;
    });
  }
}
