/** What is allowed but probably not meant. */
import { nearest } from './nearest.ts';
import { sourcesOf, type CameraConfig, type Config, type Secrets } from './schema.ts';

export function warningsOf(config: Config, secrets: Secrets): string[] {
  const ids = config.cameras.map(({ camera_id }) => camera_id);
  return [
    ...config.cameras.flatMap((camera) =>
      unusedKeys(camera).map(
        (key) => `cameras.${camera.camera_id}.${key} has no effect on this kind of camera`,
      ),
    ),
    ...Object.keys(secrets.cameras)
      .filter((id) => !ids.includes(id))
      .map((id) => {
        const meant = nearest(id, ids);
        return `secrets of camera "${id}" are not used: there is no such camera${meant ? `; did you mean ${meant}?` : ''}`;
      }),
    ...unknownNames(config),
    ...(isLoopback(config.bus.host)
      ? []
      : [
          `bus.host is ${config.bus.host}: what crosses port ${config.bus.port}, passwords included, can be read on the way; bus.tls cannot`,
        ]),
  ];
}

/** Only keys without a default can be told from keys that were left out. */
function unusedKeys(camera: CameraConfig): string[] {
  const [source] = sourcesOf(camera);
  const given = <K extends keyof CameraConfig>(keys: readonly K[]): K[] =>
    keys.filter((key) => camera[key] !== undefined && camera[key] !== null);
  switch (source) {
    case 'rtsp_url':
      return given(['width', 'height', 'fps']);
    case 'video_file':
      return given(['width', 'height', 'fps', 'username']);
    default:
      return given(['username']);
  }
}

/** What GPIO lines and the channel name, but is not there. */
function unknownNames({ cameras, gpio, outputs }: Config): string[] {
  const outputIds = gpio.outputs.map(({ id }) => id);
  const cameraIds = cameras.map(({ camera_id }) => camera_id);
  const missing = (where: string, what: string, names: readonly string[], known: readonly string[]) =>
    names
      .filter((name) => !known.includes(name))
      .map((name) => {
        const meant = nearest(name, known);
        return `${where}: there is no ${what} "${name}"${meant ? `; did you mean ${meant}?` : ''}`;
      });
  return [
    ...missing('outputs.gpio.outputs', 'output', outputs.gpio.outputs, outputIds),
    ...gpio.inputs.flatMap(({ event, id, pulse }) => [
      ...missing(`gpio.inputs.${id}.event`, 'camera', event?.cameras ?? [], cameraIds),
      ...missing(`gpio.inputs.${id}.pulse`, 'output', pulse ? [pulse] : [], outputIds),
    ]),
  ];
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host.startsWith('127.');
