#!/bin/sh
# Reads a disk image with tools, mounting nothing. Runs inside the toolbox.
#
# Usage: take-apart.sh DISK LAYOUT_DIR OUT_DIR
# Leaves: head, grown (head after the data partition took a card of 4 GiB), boot_state, firmware/, boot/, root.list, initrd.list, modules.builtin, verity (what is wrong; empty: nothing)
set -eu
disk=$1 layout=$2 out=$3
rm -rf "$out" && mkdir -p "$out/firmware" "$out/boot"
part() { # NAME FILE
  # shellcheck disable=SC2046 # first MiB, and how many
  set -- "$2" $(awk -v name="$1" '$1 == name { print $2, $3 }' "$layout/places")
  dd if="$disk" of="$1" bs=1M skip="$2" count="$3" conv=sparse status=none
}
dd if="$disk" of="$out/head" bs=1M count=1 status=none
# As `grow` does on the board: the table moves to the end of the card, ids are drawn, and the master boot record has to stay hybrid.
mib=$(cat "$layout/disk_mib")
cp "$out/head" "$out/card"
dd if="$disk" of="$out/card" bs=1M skip="$((mib - 1))" seek="$((mib - 1))" count=1 conv=notrunc status=none
truncate -s 4G "$out/card"
echo ', +' | sfdisk --no-reread --no-tell-kernel -q -N 7 "$out/card" 2>/dev/null
sfdisk --no-reread --no-tell-kernel -q --part-uuid "$out/card" 1 00000000-0000-4000-8000-000000000001 2>/dev/null
sfdisk --no-reread --no-tell-kernel -q --disk-id "$out/card" 00000000-0000-4000-8000-000000000002 2>/dev/null
dd if="$out/card" of="$out/grown" bs=1M count=1 status=none
rm "$out/card"
part boot_state "$out/boot_state"
part firmware "$out/firmware.img"
mcopy -s -n -i "$out/firmware.img" '::*' "$out/firmware/"
part boot_a "$out/boot.img"
debugfs -R "rdump / $out/boot" "$out/boot.img" 2>/dev/null
rmdir "$out/boot/lost+found"
part root_a "$out/root.img"
unsquashfs -d '' -l "$out/root.img" | sed 's|^/||' >"$out/root.list"
unsquashfs -cat "$out/root.img" "$(grep '/modules\.builtin$' "$out/root.list")" >"$out/modules.builtin"
zstd -dcq "$out/boot/initrd.img" | cpio -t --quiet >"$out/initrd.list"

IFS=, read -r hash salt blocks <<TABLE
$(sed -n 's/^verity=//p' "$out/boot/slot.env")
TABLE
veritysetup verify "$out/root.img" "$out/root.img" "$hash" --no-superblock --hash-offset="$((blocks * 4096))" \
  --data-blocks="$blocks" --salt="$salt" 2>"$out/verity" || [ -s "$out/verity" ] || echo 'not as the hash tree says' >"$out/verity"
rm "$out/firmware.img" "$out/boot.img" "$out/root.img"
