export { diffConfig } from './diff.ts';
export { History, writtenOf, type Snapshot } from './history.ts';
export {
  ConfigKeeper,
  type Applier,
  type ConfigKeeperOptions,
  type HealthLevel,
  type UpdateRequest,
  type UpdateResult,
} from './keeper.ts';
export { defaultSettings, loadSettings, type LoadedSettings, type LoadOptions } from './load.ts';
export { planChange, planInWords, type ChangePlan, type Service, type Step } from './plan.ts';
export type { CameraInput, ConfigInput } from './schema.ts';
export { configJsonSchema, groupIn, type SchemaNode } from './tree.ts';
