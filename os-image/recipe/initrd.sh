#!/bin/sh
# Makes the initial RAM disk from the Debian part and the kernel. Runs inside the toolbox; needs no emulation but for the
# dynamic loader, which says what libraries a program wants.
#
# Usage: initrd.sh CACHE_DIR ARCHITECTURE OUT_FILE
set -eu
debian=$1/debian-$2 kernel=$1/kernel-$2 architecture=$2 out=$3
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"
version=$(cat "$kernel/version")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

mkdir -p "$tree/bin" "$tree/usr/lib/modules/$version"
ln -s usr/lib "$tree/lib"
ln -s bin "$tree/sbin"
cp "$here/../initrd/init" "$tree/init" && chmod 755 "$tree/init"
install -m 755 "$here/../initrd/factory-reset" "$tree/bin/"
cp "$debian/usr/bin/busybox" "$tree/bin/"
# What runs the dynamic loader of the other machine; nothing, of this one.
case $architecture in
  arm64) loader=usr/lib/ld-linux-aarch64.so.1 libraries=usr/lib/aarch64-linux-gnu emulator=qemu-aarch64 ;;
  amd64) loader=usr/lib64/ld-linux-x86-64.so.2 libraries=usr/lib/x86_64-linux-gnu emulator='' ;;
  *) give_up "the dynamic loader of $architecture is not known" ;;
esac
mkdir -p "$tree/$(dirname "$loader")"
ln -sfn "$(dirname "$loader")" "$tree/$(basename "$(dirname "$loader")")"
cp -L "$debian/$loader" "$tree/$loader"
for program in usr/sbin/dmsetup usr/sbin/e2fsck usr/sbin/mke2fs usr/sbin/blkdiscard; do
  cp -L "$debian/$program" "$tree/bin/"
  $emulator "$debian/$loader" --library-path "$debian/$libraries" --list "$debian/$program" |
    sed -n 's|.* => \([^ ]*\) .*|\1|p' | while read -r library; do cp -L "$library" "$tree/usr/lib/"; done
done

always='squashfs overlay ext4 dm-verity i6300esb virtio_blk virtio_pci vfat nls_cp437 nls_ascii'
# shellcheck disable=SC2086 # one word each
printf '%s\n' $always >"$tree/modules.always"
root=$kernel/root
ln -sfn usr/lib "$root/lib"
# Modules of disks and what they hang on; the rest is loaded later, from the root file system.
names=$(cd "$root/usr/lib/modules/$version" && find kernel/drivers/block kernel/drivers/virtio kernel/drivers/ata kernel/drivers/nvme kernel/drivers/mmc \
  kernel/drivers/clk kernel/drivers/pinctrl kernel/drivers/firmware kernel/drivers/soc kernel/drivers/pmdomain kernel/drivers/mailbox \
  kernel/drivers/regulator kernel/drivers/gpio kernel/drivers/misc kernel/drivers/reset kernel/drivers/pci kernel/drivers/phy/broadcom kernel/drivers/phy/tegra \
  kernel/drivers/dma kernel/drivers/watchdog kernel/drivers/usb/host kernel/drivers/usb/dwc2 kernel/drivers/usb/storage \
  kernel/drivers/scsi -name '*.ko*' 2>/dev/null | sed 's|.*/||; s|\.ko.*||')
for name in $names $always; do
  modprobe -d "$root" -S "$version" --show-depends "$name" 2>/dev/null
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r module; do
  target=$tree/usr/lib/modules/$version/${module#*/modules/"$version"/}
  mkdir -p "$(dirname "$target")"
  case $module in *.xz) xz -dc "$module" >"${target%.xz}" ;; *) cp "$module" "$target" ;; esac
done
cp "$root/usr/lib/modules/$version"/modules.builtin* "$root/usr/lib/modules/$version/modules.order" "$tree/usr/lib/modules/$version/" 2>/dev/null || true
depmod -b "$tree" "$version"
rm "$root/lib"

find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$tree" && find . | LC_ALL=C sort | cpio --quiet --reproducible --owner=0:0 -o -H newc) | zstd -q -19 -T0 >"$out.new"
mv "$out.new" "$out"
say "initial RAM disk: $(($(stat -c %s "$out") / 1024)) KiB"
