/** What images are made for. Pure. */
import { GRUB } from '../boot-state/grub.ts';
import { U_BOOT, type Format } from '../boot-state/codec.ts';

export interface Target {
  readonly name: 'qemu-arm64' | 'raspberrypi' | 'amd64' | 'jetson';
  /** As Debian calls it. Targets of one architecture have the same slots, and so the same bundles. */
  readonly architecture: 'arm64' | 'amd64';
  /** As npm calls it. */
  readonly cpu: 'arm64' | 'x64';
  /** Step of the recipe that makes the firmware partition. */
  readonly firmware: 'firmware-qemu.sh' | 'firmware-rpi.sh' | 'firmware-uefi.sh';
  readonly bootState: Format;
  /** The first stage of a Pi 3 reads no other partition table than a master boot record. */
  readonly hasHybridMbr: boolean;
}

export const TARGETS: readonly Target[] = [
  {
    name: 'qemu-arm64',
    architecture: 'arm64',
    cpu: 'arm64',
    firmware: 'firmware-qemu.sh',
    bootState: U_BOOT,
    hasHybridMbr: false,
  },
  {
    name: 'raspberrypi',
    architecture: 'arm64',
    cpu: 'arm64',
    firmware: 'firmware-rpi.sh',
    bootState: U_BOOT,
    hasHybridMbr: true,
  },
  {
    name: 'amd64',
    architecture: 'amd64',
    cpu: 'x64',
    firmware: 'firmware-uefi.sh',
    bootState: GRUB,
    hasHybridMbr: false,
  },
  {
    name: 'jetson',
    architecture: 'arm64',
    cpu: 'arm64',
    firmware: 'firmware-uefi.sh',
    bootState: GRUB,
    hasHybridMbr: false,
  },
];

export const isUefi = (target: Target): boolean => target.firmware === 'firmware-uefi.sh';

export const targetNamed = (name: string | undefined): Target | undefined =>
  TARGETS.find((target) => target.name === name);
