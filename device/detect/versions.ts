import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';

/** Packages whose change may change how fast a backend is. */
const BACKEND_PACKAGES = [
  '@tensorflow/tfjs-core',
  '@tensorflow/tfjs-backend-wasm',
  '@tensorflow/tfjs-backend-webgpu',
  '@tensorflow/tfjs-node',
  'webgpu',
  'onnxruntime-node',
];

/** For people: which TensorFlow.js runs the models. */
export const detectVersions = (): { tfjs: string } => ({ tfjs: packageVersion('@tensorflow/tfjs-core') });

export const backendVersions = (): string =>
  BACKEND_PACKAGES.map((name) => `${name}@${packageVersion(name)}`).join(' ');

function packageVersion(name: string): string {
  try {
    const path = findPackageJSON(name, import.meta.url);
    if (path === undefined) return 'none';
    return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
  } catch {
    return 'none';
  }
}
