export { defaultSettings, loadSettings, type LoadedSettings, type LoadOptions } from './load.ts';
export type { CameraInput, ConfigInput } from './schema.ts';
export { configJsonSchema, type SchemaNode } from './tree.ts';
