#!/bin/sh
# Makes the toolbox: a Debian trixie tree under .cache/image with every program that builds and boots images, so that
# nothing is installed on this machine. Done in about a minute, once; does nothing when it is there already.
#
# Usage: toolbox.sh CACHE_DIR
set -eu
cache=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"

packages='apt apt-utils bmap-tools ca-certificates cpio cryptsetup-bin debian-archive-keyring dosfstools e2fsprogs
eatmydata erofs-utils fdisk kmod mmdebstrap mtools openssl ovmf perl qemu-efi-aarch64 qemu-system-arm qemu-system-x86 qemu-user qemu-utils rauc
squashfs-tools u-boot-qemu u-boot-tools xz-utils zstd'
stamp=$(printf '%s' "$packages" | cksum)
[ "$(cat "$cache/toolbox.stamp" 2>/dev/null)" = "$stamp" ] && exit

need_root
for program in apt-get dpkg-deb perl chroot; do
  command -v "$program" >/dev/null || give_up "$program is needed" 'Any Debian or Ubuntu has it.'
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || give_up 'the keys of the Debian archive are needed' 'sudo apt-get install debian-archive-keyring'

say 'toolbox: fetching mmdebstrap'
apt_dir=$cache/apt
mkdir -p "$apt_dir/lists/partial" "$apt_dir/archives/partial" "$apt_dir/parts"
write_sources "$keyring" >"$apt_dir/debian.sources"
apt_get() {
  apt-get -qq -o Dir::Etc::sourcelist="$apt_dir/debian.sources" -o Dir::Etc::sourceparts="$apt_dir/parts" \
    -o Dir::State::lists="$apt_dir/lists" -o Dir::Cache::archives="$apt_dir/archives" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root -o Dir::State::status=/dev/null "$@"
}
apt_get update
(cd "$apt_dir" && rm -f mmdebstrap_*.deb && apt_get download mmdebstrap && dpkg-deb -x mmdebstrap_*.deb mmdebstrap)

say 'toolbox: installing its programs'
rm -rf "$cache/toolbox" "$cache/toolbox.new"
PATH="$apt_dir/mmdebstrap/usr/bin:$PATH" nice -n 10 mmdebstrap --quiet --variant=apt --skip=check/empty \
  --include="$(printf '%s' "$packages" | tr '\n ' ',,')" --aptopt='Apt::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/AAVMF/*' --dpkgopt=force-unsafe-io \
  trixie "$cache/toolbox.new" "$apt_dir/debian.sources" >&2
mkdir -p "$cache/toolbox.new/cache" "$cache/toolbox.new/source"
mv "$cache/toolbox.new" "$cache/toolbox"
printf '%s\n' "$stamp" >"$cache/toolbox.stamp"
