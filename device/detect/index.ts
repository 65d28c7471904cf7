export { createDetectServer, type DetectServer, type DetectServerOptions } from './detect-server.ts';
export { connectDetector, type DetectClient, type DetectClientOptions } from './client.ts';
export { addModel, type AddModelOptions, type AddProgress } from './add-model.ts';
export { benchModels, type BenchOptions, type BenchResult } from './bench-models.ts';
export { listModels, verifyModel, type ModelSummary } from './model-list.ts';
export { detectVersions } from './versions.ts';
