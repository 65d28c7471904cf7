#!/bin/sh
# The firmware partition of the Raspberry Pi: its first stage, U-Boot as the kernel that it starts, and the same boot script
# as everywhere. From Debian packages alone. Runs inside the toolbox.
#
# Usage: firmware-rpi.sh CACHE_DIR ARCHITECTURE LAYOUT_DIR OUT_DIR
# Leaves: partition/, packages.tsv
set -eu
kernel=$1/kernel-$2 out=$4
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"
rm -rf "$out" && mkdir -p "$out/partition"
apt_for arm64 "$out/../apt-arm64" update
fetch_packages arm64 "$out" raspi-firmware u-boot-rpi
partition=$out/partition

# Pi 3: bootcode.bin, then start.elf. Pi 4: start4.elf, from its EEPROM. Pi 5: the EEPROM holds all of it.
for file in bootcode.bin start.elf fixup.dat start4.elf fixup4.dat; do
  cp "$out/root/usr/lib/raspi-firmware/$file" "$partition/"
done
cp "$out/root/usr/lib/u-boot/rpi_arm64/u-boot.bin" "$here/../boot/config.txt" "$partition/"
for package in raspi-firmware u-boot-rpi; do cp "$out/root/usr/share/doc/$package/copyright" "$partition/$package.copyright"; done

# The tree that U-Boot itself runs with; the kernel gets the one of its slot. A Pi 5 does not start without one.
cp "$kernel"/boot/dtb/broadcom/*.dtb "$partition/"
# What the firmware calls the tree of the later revision of the Pi 5's chip.
cp "$kernel/boot/dtb/broadcom/bcm2712-d-rpi-5-b.dtb" "$partition/bcm2712d0-rpi-5-b.dtb"

mkimage -q -A arm64 -T script -C none -n spyoncino -d "$here/../boot/boot.cmd" "$partition/boot.scr" >/dev/null
mkenvimage -s 0x4000 -p 0 -o "$partition/uboot.env" "$here/../boot/uboot.env.txt"
rm -rf "$out/root"
say "firmware: $(du -sm "$partition" | cut -f 1) MiB"
