import type { Cameras } from './cameras.ts';
import type { AuditLine } from './contract/access.ts';
import type { Meter } from './contract/metrics.ts';
import type { Module } from './contract/modules.ts';
import type { Settings } from './contract/settings.ts';
import { CodedError } from './contract/errors.ts';
import { matches, type Bus } from './bus/index.ts';
import type { Access, CommandDoor } from './control/index.ts';
import { serveControlApi } from './dashboard/index.ts';
import { serveGateway } from './gateway/index.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import type { Library } from './library/index.ts';
import type { ConfigKeeper } from './settings/index.ts';
import type { StatusDesk } from './status-desk.ts';
import type { Tls } from './tls/index.ts';

export interface SurfacesOptions {
  readonly settings: Settings;
  readonly tls: Tls;
  readonly access: Access;
  readonly audit: (line: AuditLine) => void;
  readonly door: CommandDoor;
  readonly library: Library;
  readonly cameras: Cameras;
  readonly status: StatusDesk;
  readonly config: ConfigKeeper;
  readonly tap: Bus['tap'];
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Surfaces extends AsyncDisposable {
  readonly apiPort: number;
  readonly gatewayPort: number;
  readonly modules: readonly Module[];
}

/** The doors to the LAN: the HTTPS control API and the websocket gateway. */
export async function openSurfaces(o: SurfacesOptions): Promise<Surfaces> {
  await using building = new AsyncDisposableStack();
  const { access, audit, config, door, library, settings, status, tls, clock, log } = o;
  const api = building.use(
    await serveControlApi({
      ...settings.controlApi,
      tls: tls.of('control-api'),
      authority: () => tls.authority,
      access,
      door,
      audit,
      footage: {
        listEvents: (query) => library.ask('listEvents', query),
        getEvent: (eventId) => library.ask('getEvent', { eventId }),
        listClips: (query) => library.ask('listClips', query),
        getClip: (clipId) => library.ask('getClip', { clipId }),
        timeline: (query) => library.ask('timeline', query),
      },
      dataDir: settings.dataDir,
      cameras: () =>
        config.current.settings.cameras.map(({ cameraId, name, enabled }) => ({
          cameraId,
          name,
          enabled,
          status: o.cameras.desks.find((desk) => desk.state.camera_id === cameraId)?.state ?? null,
        })),
      health: () => status.health(),
      ready() {
        const reason = status.stuck();
        const reasons = reason === null ? [] : [new CodedError('NOT_READY', reason).report()];
        return { ready: reason === null, reasons };
      },
      config: () => ({ fingerprint: config.current.fingerprint, data: config.current.config }),
      configHistory: async () => (await config.history()).toReversed(),
      clock,
      log,
    }),
  );
  const gateway = building.use(
    await serveGateway({
      settings: settings.gateway,
      tls: tls.of('websocket'),
      access,
      // Whoever was let in may read, as on the bus.
      mayRead: () => true,
      matches,
      door,
      tap: o.tap,
      meter: o.meter,
      clock,
      log,
    }),
  );
  const owned = building.move();
  return {
    apiPort: api.port,
    gatewayPort: gateway.port,
    modules: [api.module, gateway.module],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
