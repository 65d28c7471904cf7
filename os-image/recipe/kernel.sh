#!/bin/sh
# Fetches the kernel, and keeps of its modules and device trees what the machines need. Runs inside the toolbox.
#
# Usage: kernel.sh ARCHITECTURE OUT_DIR
# Leaves: boot/ (the kernel as its boot script starts it, and device trees), root/usr/lib/modules/<version> (pruned, with its
# indexes), version, packages.tsv
set -eu
architecture=$1 out=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"

mkdir -p "$out"
apt=$out/../apt-$architecture
apt_for "$architecture" "$apt" update
# linux-image-$architecture names a version; that one's packages hold the files.
image=$(apt_command=apt-cache apt_for "$architecture" "$apt" depends --important "linux-image-$architecture/trixie-backports" |
  sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
version=${image#linux-image-}
say "kernel $version"
case $architecture in
  # The radio of a Pi 400; those of the others come with firmware-brcm80211.
  arm64) firmware=raspi-firmware wanted='brcmfmac43456-*' ;;
  # What the commonest Ethernet of a mini PC asks for.
  *) firmware=firmware-realtek wanted='rtl_nic/*' ;;
esac
fetch_packages "$architecture" "$out" "$image" "linux-base-$version" "linux-binary-$version" "linux-modules-$version" "$firmware"
find "$out/root/usr/lib/firmware" -type f ! -path "*/$wanted" -delete
find "$out/root/usr/lib/firmware" -type l ! -exec test -e {} \; -delete
rm -rf "$out/root/etc" "$out/root/usr/lib/raspi-firmware"
find "$out/root/usr/share" -mindepth 1 -maxdepth 1 ! -name doc -exec rm -rf {} +
find "$out/root/usr/share" -type f ! -name copyright -delete

modules=$out/root/usr/lib/modules/$version
rm -rf "${out:?}/boot" && mkdir -p "$out/boot"
if [ "$architecture" = arm64 ]; then
  gzip -9n <"$modules/vmlinuz" >"$out/boot/Image.gz"
  trees=$(dirname "$(find "$out/root" -name bcm2711-rpi-4-b.dtb | head -n 1)")
  mkdir -p "$out/boot/dtb/broadcom"
  cp "$trees"/bcm2837-rpi-* "$trees"/bcm2711-rpi-* "$trees"/bcm2712* "$out/boot/dtb/broadcom/"
  # U-Boot names modules without the board that they are plugged into.
  cp "$out/boot/dtb/broadcom/bcm2711-rpi-cm4-io.dtb" "$out/boot/dtb/broadcom/bcm2711-rpi-cm4.dtb"
  cp "$out/boot/dtb/broadcom/bcm2837-rpi-cm3-io3.dtb" "$out/boot/dtb/broadcom/bcm2837-rpi-cm3.dtb"
else
  # Compressed by itself; with Debian's signature, which a change would cost.
  cp "$modules/vmlinuz" "$out/boot/vmlinuz"
fi

# What is kept, and what that depends on, until nothing new comes.
ln -s usr/lib "$out/root/lib"
depmod -b "$out/root" "$version"
find "$modules/kernel" -name '*.ko*' | sed "s|^$modules/||" >"$out/all"
sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$here/modules.list" "$here/modules.$architecture.list" | sed 's|^|^kernel/|' >"$out/wanted"
grep -E -f "$out/wanted" "$out/all" >"$out/kept"
while :; do
  awk -F: 'NR == FNR { kept[$1] = 1; next }
    ($1 in kept) { print $1; n = split($2, needed, " "); for (i = 1; i <= n; i++) print needed[i] }' \
    "$out/kept" "$modules/modules.dep" | sort -u >"$out/more"
  cmp -s "$out/more" "$out/kept" && break
  mv "$out/more" "$out/kept"
done
grep -v -x -F -f "$out/kept" "$out/all" | while read -r module; do rm "$modules/$module"; done
find "$modules/kernel" -depth -type d -empty -delete
rm -rf "$modules/dtb" "$modules/build" "$modules/source" "$out/root/boot" "$modules"/vmlinuz "$modules"/System.map
depmod -b "$out/root" "$version"
rm "$out/root/lib"
printf '%s\n' "$version" >"$out/version"
rm -f "$out/all" "$out/wanted" "$out/more" "$out/kept"
say "kernel: $(du -sm "$modules" | cut -f 1) MB of modules"
