import { access, constants, realpath } from 'node:fs/promises';
import { CodedError } from '../contract/errors.ts';
import type { SourceSettings } from '../contract/settings.ts';
import { chooseMode } from './v4l2-mode.ts';
import { listDevices, readModes } from './v4l2-devices.ts';
import type { Opening } from './sources.ts';

/** Finds the device as it is now (after a replug it may have another number) and picks its mode. */
export async function openV4l2(settings: Extract<SourceSettings, { kind: 'v4l2' }>): Promise<Opening> {
  const node = await findNode(settings.device);
  const mode = chooseMode(await readModes(node), settings);
  return {
    url: node,
    format: 'v4l2',
    options: mode
      ? {
          input_format: mode.format,
          video_size: `${mode.width}x${mode.height}`,
          ...(mode.fps > 0 ? { framerate: String(mode.fps) } : {}),
        }
      : {},
  };
}

async function findNode(device: string): Promise<string> {
  if (device === 'auto') {
    const [first] = await listDevices();
    if (!first) throw new CodedError('CAMERA_DEVICE_MISSING', 'no camera is attached');
    return first.node;
  }
  try {
    const node = await realpath(device);
    await access(node, constants.R_OK | constants.W_OK);
    return node;
  } catch (error) {
    const denied = ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
    throw new CodedError(denied ? 'CAMERA_DEVICE_DENIED' : 'CAMERA_DEVICE_MISSING', device, { cause: error });
  }
}
