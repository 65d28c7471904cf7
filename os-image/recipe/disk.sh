#!/bin/sh
# Puts a disk image together, without mounting anything. Runs inside the toolbox.
#
# Usage: disk.sh SLOT_DIR FIRMWARE_DIR LAYOUT_DIR OUT_FILE
# SLOT_DIR: `root.img` and `boot.img`, each with its `.index` (build/hash-index.ts); `empty.index`
# LAYOUT_DIR: `table` (for sfdisk), `places` (name, first MiB, MiB), `disk_mib`, `boot_state.img`
set -eu
slot=$1 firmware=$2 layout=$3 out=$4
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

size_of() { awk -v name="$1" '$1 == name { print $3 }' "$layout/places"; }
start_of() { awk -v name="$1" '$1 == name { print $2 }' "$layout/places"; }

rm -f "$out.new"
truncate -s "$(cat "$layout/disk_mib")M" "$out.new"
sfdisk -q "$out.new" <"$layout/table"

put() { # NAME FILE
  [ "$(stat -c %s "$2")" -le "$(($(size_of "$1") * 1048576))" ] || give_up "$2 does not fit into $1 ($(size_of "$1") MiB)"
  # Zeros, too: whoever flashes by block map leaves what a hole stands for as it was, and a file system would find it in its tables.
  dd if="$2" of="$out.new" bs=1M seek="$(start_of "$1")" conv=notrunc status=none
}

truncate -s "$(size_of firmware)M" "$work/firmware.img"
mkfs.vfat --invariant -F 32 -n SPYONCINO "$work/firmware.img" >/dev/null
find "$firmware" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$firmware" && mcopy -s -m -i "$work/firmware.img" -- * ::)

# What RAUC would find out about the slots before the first update, by minutes of hashing. `unknown`: not installed by RAUC.
index_of() { # SLOT FILE
  mkdir -p "$work/data/rauc/slot.$1/hash-unknown"
  cp "$slot/$2" "$work/data/rauc/slot.$1/hash-unknown/block-hash-index"
}
index_of rootfs.0 root.index
index_of boot.0 boot.index
index_of rootfs.1 empty.index
index_of boot.1 empty.index
chmod 700 "$work/data/rauc"
find "$work/data" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +

id=00000000-0000-4000-8000-0000000000d0
truncate -s "$(size_of data)M" "$work/data.img"
# As for the card it grows to, not for a disk of 64 MiB: blocks as large as pages, inodes for files of some size (their tables are written
# when it grows), room for the groups of a terabyte.
# Nothing is kept for root: it would fill up what the agent, who is not root, frees on a full disk.
mke2fs -q -t ext4 -b 4096 -i 65536 -U "$id" -E "hash_seed=$id,resize=268435456" -L data -m 0 -d "$work/data" "$work/data.img"

put firmware "$work/firmware.img"
put boot_state "$layout/boot_state.img"
put boot_a "$slot/boot.img"
put root_a "$slot/root.img"
put data "$work/data.img"
mv "$out.new" "$out"
say "disk: $(cat "$layout/disk_mib") MiB, $(du -m "$out" | cut -f 1) MiB used"
