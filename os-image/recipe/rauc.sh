#!/bin/sh
# Fetches RAUC from Debian's next release. That of trixie (1.13) refuses every verity bundle under kernels from 6.19 on, which say
# more about dm-verity than it expects ("V -" instead of "V"); from 1.15.1 on it does not. Runs inside the toolbox.
#
# Usage: rauc.sh ARCHITECTURE OUT_DIR
# Leaves: tree/root (laid over the Debian part), tree/packages.tsv
set -eu
architecture=$1 out=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"

apt=$out/apt-$architecture
mkdir -p "$apt"
cat >"$apt/debian.sources" <<SOURCES
Types: deb
URIs: ${SPYONCINO_DEBIAN_MIRROR:-http://deb.debian.org/debian}
Suites: forky
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
# A mirror that was frozen serves as well: signatures are verified, and an old RAUC is refused below.
apt_for "$architecture" "$apt" -o Acquire::Check-Valid-Until=false update
# With the libraries that trixie has in an older version.
fetch_packages "$architecture" "$out/tree" rauc libnl-3-200 libnl-genl-3-200
version=$(awk '$1 == "rauc" { print $2 }' "$out/tree/packages.tsv")
dpkg --compare-versions "$version" ge 1.15.1 || give_up "RAUC $version is too old for the kernel"
rm -rf "$out/tree/root/usr/share/man" "$out"/tree/root/usr/share/doc/*/changelog* "$apt"
say "RAUC $version"
