#!/bin/sh
# Compresses a disk image and lists its used blocks. Runs inside the toolbox.
#
# Usage: artefacts.sh DISK.img
# Leaves: DISK.img.xz, DISK.img.bmap, DISK.img.sha256
set -eu
disk=$1
# What fills the image is compressed already: a higher level takes minutes and saves nothing.
xz -T0 -1 -k -f "$disk"
bmaptool -q create -o "$disk.bmap" "$disk"
sha256sum "$disk" | cut -d ' ' -f 1 >"$disk.sha256"
