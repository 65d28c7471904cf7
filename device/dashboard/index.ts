export { openapi } from './openapi.ts';
export type {
  AccessPort,
  CameraView,
  ConfigVersion,
  ConfigView,
  ControlApiLimits,
  ControlApiOptions,
  FootagePort,
  Readiness,
} from './options.ts';
export { ROUTES } from './routes/index.ts';
export { serveControlApi, type ControlApi } from './server.ts';
