import { CodedError } from '../contract/errors.ts';
import type { BundleInfo, RaucStatus, SlotInfo } from './rauc.ts';
import { compareVersions } from './version.ts';

/** The system that a bundle would be installed on. */
export interface Running {
  readonly version: string;
  readonly compatible: string;
}

/**
 * Whether `bundle` is newer than what runs: false when it is the same version.
 *
 * @throws CodedError UPDATE_WRONG_BOARD, UPDATE_OLDER: it must not be installed
 */
export function isNewer(bundle: BundleInfo, running: Running): boolean {
  if (bundle.compatible !== running.compatible) {
    throw new CodedError(
      'UPDATE_WRONG_BOARD',
      `it is for ${bundle.compatible}, and this is ${running.compatible}`,
    );
  }
  const order = compareVersions(bundle.version, running.version);
  if (order === null || order < 0) {
    throw new CodedError('UPDATE_OLDER', `it has ${bundle.version}, and ${running.version} runs here`);
  }
  return order > 0;
}

/**
 * The slot to go back to.
 *
 * @throws CodedError UPDATE_NO_WAY_BACK
 */
export function wayBack({ booted, slots }: RaucStatus): SlotInfo {
  const bootable = slots.filter(({ bootName }) => bootName !== null);
  const other = bootable.find(({ bootName }) => bootName !== booted);
  if (booted === null || !other) throw new CodedError('UPDATE_NO_WAY_BACK', 'there is no other slot');
  if (other.bootStatus !== 'good') {
    const status = other.bootStatus ?? 'unknown';
    throw new CodedError('UPDATE_NO_WAY_BACK', `slot ${other.bootName} is ${status}`);
  }
  return other;
}
