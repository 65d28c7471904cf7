import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Where the Vulkan loader looks for drivers (LoaderDriverInterface.md, "Driver Discovery on Linux"). */
const DIRECTORIES = [
  '/etc/vulkan/icd.d',
  '/usr/local/etc/vulkan/icd.d',
  '/usr/local/share/vulkan/icd.d',
  '/usr/share/vulkan/icd.d',
];

/** Manifest files of the Vulkan drivers on this machine; those that the environment names replace all others. */
export function vulkanDrivers(env: NodeJS.ProcessEnv): readonly string[] {
  const named = env['VK_DRIVER_FILES'] ?? env['VK_ICD_FILENAMES'];
  if (named !== undefined) return named.split(':').filter((path) => path !== '');
  return DIRECTORIES.flatMap((directory) => {
    try {
      return readdirSync(directory)
        .filter((name) => name.endsWith('.json'))
        .map((name) => join(directory, name));
    } catch {
      return [];
    }
  });
}
