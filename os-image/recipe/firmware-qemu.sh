#!/bin/sh
# The firmware partition of QEMU's `virt` board, and the U-Boot that it starts with. Runs inside the toolbox.
#
# Usage: firmware-qemu.sh CACHE_DIR ARCHITECTURE LAYOUT_DIR OUT_DIR
set -eu
out=$4
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
rm -rf "$out" && mkdir -p "$out/partition"
mkimage -q -A arm64 -T script -C none -n spyoncino -d "$here/../boot/boot.cmd" "$out/partition/boot.scr" >/dev/null
cp /usr/lib/u-boot/qemu_arm64/u-boot.bin "$out/u-boot.bin"
