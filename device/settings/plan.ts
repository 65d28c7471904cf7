import type { CameraSettings, Settings } from '../contract/settings.ts';
import { canonicalJson } from './fingerprint.ts';

/** A part of the running agent that is built from a slice of the settings, and can be built anew by itself. */
export type Service = 'detector' | 'storage' | 'uploads' | 'outputs' | 'gpio';

export type Step =
  | {
      readonly kind: 'camera';
      /** `adjust`: what changed is not the business of its process, which runs on. */
      readonly action: 'start' | 'stop' | 'restart' | 'adjust';
      readonly cameraId: string;
    }
  | { readonly kind: 'service'; readonly service: Service };

export interface ChangePlan {
  /** In this order: what is stopped goes first, what is started comes last. */
  readonly steps: readonly Step[];
  /** Keys that count from the next start of the agent on. */
  readonly atNextStart: readonly string[];
}

/** What has to happen so that an agent that runs on `before` runs on `after`. Pure. */
export function planChange(before: Settings, after: Settings): ChangePlan {
  const cameras = planCameras(before.cameras, after.cameras);
  const services = SERVICES.filter(({ slice }) => differ(slice(before), slice(after)));
  return {
    steps: [
      ...cameras.filter(({ action }) => action === 'stop'),
      ...services.map(({ service }): Step => ({ kind: 'service', service })),
      ...cameras.filter(({ action }) => action !== 'stop'),
    ],
    atNextStart: AT_NEXT_START.filter(({ slice }) => differ(slice(before), slice(after))).map(
      ({ key }) => key,
    ),
  };
}

/** "camera porch restarts, nothing else" */
export function planInWords({ steps, atNextStart }: ChangePlan): string {
  const done = steps.map((step) =>
    step.kind === 'camera'
      ? `camera ${step.cameraId} ${ACTION_WORDS[step.action]}`
      : `${step.service} is rebuilt`,
  );
  const later = atNextStart.length === 0 ? [] : [`${atNextStart.join(', ')} from the next start on`];
  const words = [...done, ...later];
  return words.length === 0 ? 'nothing changes' : `${words.join('; ')}; nothing else`;
}

const ACTION_WORDS = { start: 'starts', stop: 'stops', restart: 'restarts', adjust: 'goes on' } as const;

const SERVICES: readonly { service: Service; slice: (settings: Settings) => unknown }[] = [
  { service: 'detector', slice: ({ detection }) => detection },
  { service: 'storage', slice: ({ storage }) => storage },
  { service: 'uploads', slice: ({ remote }) => remote },
  { service: 'gpio', slice: ({ gpio }) => gpio },
  { service: 'outputs', slice: ({ outputs }) => outputs },
];

const AT_NEXT_START: readonly { key: string; slice: (settings: Settings) => unknown }[] = [
  { key: 'bus', slice: ({ bus }) => bus },
  { key: 'metrics', slice: ({ metrics }) => metrics },
  { key: 'system.control_api', slice: ({ controlApi }) => controlApi },
  { key: 'dashboards.websocket_gateway', slice: ({ gateway }) => gateway },
  { key: 'storage.media_id', slice: ({ storage }) => storage.mediaId },
  { key: 'node.id', slice: ({ nodeId }) => nodeId },
  { key: 'system.resilience', slice: ({ resilience }) => resilience },
  { key: 'storage.path', slice: ({ dataDir }) => dataDir },
  { key: 'system.logging.log_level', slice: ({ logLevel }) => logLevel },
];

type CameraStep = Extract<Step, { kind: 'camera' }>;

function planCameras(before: readonly CameraSettings[], after: readonly CameraSettings[]): CameraStep[] {
  const old = new Map(before.map((camera) => [camera.cameraId, camera]));
  const ids = new Set([...before, ...after].map(({ cameraId }) => cameraId));
  const now = new Map(after.map((camera) => [camera.cameraId, camera]));
  return [...ids].flatMap((cameraId): CameraStep[] => {
    const action = actionFor(old.get(cameraId), now.get(cameraId));
    return action === null ? [] : [{ kind: 'camera', action, cameraId }];
  });
}

function actionFor(
  before: CameraSettings | undefined,
  after: CameraSettings | undefined,
): CameraStep['action'] | null {
  const [was, is] = [before?.enabled ?? false, after?.enabled ?? false];
  if (was !== is) return is ? 'start' : 'stop';
  if (!before || !after || !differ(before, after)) return null;
  return is && differ(ofProcess(before), ofProcess(after)) ? 'restart' : 'adjust';
}

/** What the camera's process runs on: not its name, and not for how long the agent keeps what it recorded. */
function ofProcess({ name: _name, recording, ...rest }: CameraSettings): unknown {
  const { retention: _retention, ...recorded } = recording;
  return { ...rest, recording: recorded };
}

const differ = (a: unknown, b: unknown): boolean => canonicalJson(a) !== canonicalJson(b);
