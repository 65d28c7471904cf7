#!/bin/sh
# The firmware partition where the firmware is UEFI: Debian's shim and GRUB as Debian signed them, so that it starts with Secure
# Boot switched on, too; our script; a spare boot state. Runs inside the toolbox.
#
# Usage: firmware-uefi.sh CACHE_DIR ARCHITECTURE LAYOUT_DIR OUT_DIR
# Leaves: partition/, packages.tsv
set -eu
architecture=$2 layout=$3 out=$4
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"
case $architecture in
  amd64) suffix=x64 platform=x86_64-efi ;;
  arm64) suffix=aa64 platform=arm64-efi ;;
  *) give_up "no UEFI is known for $architecture" ;;
esac
rm -rf "$out" && mkdir -p "$out/partition/EFI/BOOT" "$out/partition/EFI/debian" "$out/partition/EFI/spyoncino"
apt_for "$architecture" "$out/../apt-$architecture" update
fetch_packages "$architecture" "$out" "grub-efi-$architecture-signed" shim-signed

# The firmware starts BOOT*.EFI of a disk that it knows nothing of; shim starts the GRUB beside it, which looks for its script
# where Debian has it.
efi=$out/partition/EFI
cp "$out/root/usr/lib/shim/shim$suffix.efi.signed" "$efi/BOOT/BOOT$(echo "$suffix" | tr '[:lower:]' '[:upper:]').EFI"
cp "$out/root/usr/lib/grub/$platform-signed/grub$suffix.efi.signed" "$efi/BOOT/grub$suffix.efi"
cp "$here/../boot/grub.cfg" "$efi/debian/"
cp "$layout/spare.env" "$efi/spyoncino/"
for package in "grub-efi-$architecture-signed" shim-signed; do
  cp "$out/root/usr/share/doc/$package/copyright" "$efi/spyoncino/$package.copyright"
done
rm -rf "$out/root"
say "firmware: $(du -sm "$out/partition" | cut -f 1) MiB"
