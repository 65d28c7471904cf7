#!/bin/sh
# Runs a command inside the toolbox: this repository at /source (read-only), the cache at /cache. Mounts and processes are
# the command's own and end with it.
#
# Usage: inside.sh CACHE_DIR COMMAND [ARGUMENT…]
# With SPYONCINO_FOREIGN=arm64 in the environment, programs of that machine can be run as well (by emulation).
set -eu
cache=$1
shift
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"
need_root

if [ -z "${SPYONCINO_INSIDE-}" ]; then
  export SPYONCINO_INSIDE=1
  exec unshare --mount --pid --fork --kill-child --propagation private -- "$here/inside.sh" "$cache" "$@"
fi

box=$cache/toolbox
mount -t proc proc "$box/proc"
mount --rbind /dev "$box/dev"
mount --bind "$cache" "$box/cache"
mount --bind "$here/../.." "$box/source"
mount -o remount,bind,ro "$box/source"
[ -e /etc/resolv.conf ] && touch "$box/etc/resolv.conf" && mount --bind /etc/resolv.conf "$box/etc/resolv.conf"

registered=
if [ "${SPYONCINO_FOREIGN-}" = arm64 ] && [ "$(uname -m)" != aarch64 ]; then
  binfmt=$box/proc/sys/fs/binfmt_misc
  mount -t binfmt_misc binfmt_misc "$binfmt" || give_up 'the kernel cannot run programs of another machine (binfmt_misc).'
  if ! grep -qs '^flags:.*F' "$binfmt"/*aarch64*; then
    # ELF, 64 bit, little endian, AArch64. F: the interpreter is opened now, so that it is found from any chroot.
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s' ":spyoncino-aarch64:M::$magic:$mask:$box/usr/bin/qemu-aarch64:OPF" >"$binfmt/register"
    registered=$binfmt/spyoncino-aarch64
  fi
fi
# shellcheck disable=SC2317 # by the trap
unregister() { [ -z "$registered" ] || printf '%s' -1 >"$registered"; }
trap unregister EXIT
trap 'exit 143' TERM INT HUP

status=0
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1795000000}" \
  SPYONCINO_DEBIAN_MIRROR="${SPYONCINO_DEBIAN_MIRROR-}" SPYONCINO_DEBIAN_SECURITY_MIRROR="${SPYONCINO_DEBIAN_SECURITY_MIRROR-}" \
  nice -n 10 chroot "$box" "$@" || status=$?
exit "$status"
