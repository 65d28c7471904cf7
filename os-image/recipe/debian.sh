#!/bin/sh
# Makes the Debian part of the root file system. Runs inside the toolbox.
#
# Usage: debian.sh ARCHITECTURE OUT_DIR
set -eu
architecture=$1 out=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"

packages=$(sed 's/#.*//' "$here/debian.packages" | tr -s ' \n' ',' | sed 's/^,//; s/,$//')
sources=$(mktemp)
write_sources /usr/share/keyrings/debian-archive-keyring.gpg >"$sources"

# Host keys are made on the device; machine-id too. Man pages and translations are never read there; licences stay.
mmdebstrap --quiet --architectures="$architecture" --variant=essential --skip=check/qemu,check/empty \
  --include="$packages" --aptopt='Apt::Install-Recommends "false"' \
  --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/lintian/*' \
  --essential-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"' \
  --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1/usr/sbin/policy-rc.d" "$1/var/lib/dbus/machine-id"; : >"$1/etc/machine-id"' \
  --customize-hook='rm -rf "$1"/var/cache/ldconfig "$1"/var/log/*.log "$1"/var/lib/apt "$1"/var/cache/apt' \
  trixie "$out.new" "$sources"
mv "$out.new" "$out"
