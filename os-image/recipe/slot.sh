#!/bin/sh
# Makes what goes into one slot: the root file system with its dm-verity tree, and the boot file system that starts it.
# Runs inside the toolbox.
#
# Usage: slot.sh CACHE_DIR ARCHITECTURE VERSION KEYRING OUT_DIR [COMPRESSION_LEVEL [LAYER]]
# LAYER: a folder that is laid over everything else, for tests
set -eu
cache=$1 architecture=$2 version=$3 keyring=$4 out=$5 level=${6:-15} layer=${7-}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"
mkdir -p "$out"
work=$(mktemp -d)

# Nothing is copied: the layers are laid over each other.
mkdir "$work/overlay" "$work/scratch" "$work/root" "$work/over"
cp -a "$here/../overlay/." "$work/over/"
[ -z "$layer" ] || cp -a "$layer/." "$work/over/"
mount -t overlay -o "lowerdir=$work/over:$cache/agent-$architecture/layer:$cache/kernel-$architecture/root:$cache/rauc-$architecture/tree/root:$cache/debian-$architecture,upperdir=$work/overlay,workdir=$work/scratch" overlay "$work/root"
root=$work/root
chown -R 0:0 "$root/etc/rauc" "$root/usr/lib/spyoncino"
sed -i "s/^compatible=.*/compatible=spyoncino-$architecture/" "$root/etc/rauc/system.conf"
install -m 644 "$keyring" "$root/etc/rauc/keyring.pem"
mkdir -p "$root/data" "$root/boot/firmware" "$root/etc/spyoncino" "$root/var/lib/spyoncino"
: >"$root/etc/fstab"
: >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
mkdir -p "$root/etc/issue.d"
ln -s /run/spyoncino-image/owner.issue "$root/etc/issue.d/spyoncino.issue"
ln -sf /opt/spyoncino/device/cli/spyoncino.js "$root/usr/bin/spyoncino"
ln -sf /opt/spyoncino/node_modules/.bin/node "$root/usr/bin/node"
cp "$root/opt/spyoncino/os-image/docker/systemd/spyoncino-modular.service" "$root/usr/lib/systemd/system/"
{
  grep -v '^IMAGE_' "$root/usr/lib/os-release"
  printf 'IMAGE_ID=spyoncino\nIMAGE_VERSION=%s\n' "$version"
} >"$work/os-release"
cp "$work/os-release" "$root/usr/lib/os-release"

# A clock that says less is set to this by systemd, before anything is signed: no certificate of 1970 without a network.
touch -d "$(sed -n 's/.*"builtAt": *"\([^"]*\)".*/\1/p' "$root/opt/spyoncino/device/build.json")" "$root/usr/lib/clock-epoch"

systemd-sysusers --root="$root" >/dev/null
unit() { systemctl --root="$root" "$@" >/dev/null 2>&1 || give_up "systemctl $*"; }
unit enable spyoncino-modular.service spyoncino-first-boot.service spyoncino-grow.service spyoncino-confirm.service spyoncino-reboot.path \
  spyoncino-owner.path spyoncino-owner.service spyoncino-factory-reset.path spyoncino-ssh.service \
  systemd-networkd.service systemd-resolved.service systemd-timesyncd.service nftables.service
unit mask ssh.service ssh.socket systemd-networkd-wait-online.service systemd-firstboot.service getty@tty1.service \
  systemd-journal-catalog-update.service systemd-hwdb-update.service
unit disable wpa_supplicant.service e2scrub_reap.service e2scrub_all.timer
# No account may log in: there is no password on this box.
sed -i 's/^root:[^:]*:/root:*:/' "$root/etc/shadow"

# What changes with every release lies last: a box that streams it has all that comes before. Names are those of this tree.
{
  printf 'opt/spyoncino/node_modules -10\nusr/lib/os-release -30\n'
  (cd "$work/over" && find . -type f -printf '%P -20\n')
  (cd "$root" && find opt/spyoncino -mindepth 1 -maxdepth 1 ! -name node_modules -printf '%p -30\n')
} | LC_ALL=C sort >"$work/sort"

say "root file system of $version"
rm -f "$out/root.img"
mksquashfs "$root" "$out/root.img" -noappend -quiet -no-progress -comp zstd -Xcompression-level "$level" \
  -sort "$work/sort" -wildcards \
  -e 'proc/*' 'sys/*' 'dev/*' 'run/*' 'tmp/*' 'var/cache/*' 'var/log/*' 'var/lib/systemd/*' 'var/lib/spyoncino/*' 'etc/spyoncino/*' >&2
umount "$root"

# The tree follows the file system; the root hash goes to the boot slot, and from there to the kernel's command line.
size=$(stat -c %s "$out/root.img")
blocks=$(((size + 4095) / 4096))
truncate -s "$((blocks * 4096))" "$out/root.img"
# The same salt in each version: equal blocks have equal hashes, and those are not fetched again. It guards nothing here, as
# the root hash is signed and nobody may choose both of two blocks that collide.
salt=$(printf spyoncino | sha256sum | cut -d ' ' -f 1)
hash=$(veritysetup format --no-superblock --hash-offset="$((blocks * 4096))" --data-blocks="$blocks" --salt="$salt" \
  "$out/root.img" "$out/root.img" | sed -n 's/^Root hash:[[:space:]]*//p')

mkdir "$work/boot"
cp -r "$cache/kernel-$architecture/boot/." "$work/boot/"
cp "$cache/initrd-$architecture.img" "$work/boot/initrd.img"
# Whoever reads it takes the first line for what it wants to see: GRUB for its signature, U-Boot for a comment.
printf '# GRUB Environment Block\nversion=%s\nverity=%s,%s,%s\n' "$version" "$hash" "$salt" "$blocks" >"$work/boot/slot.env"
find "$work/boot" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
rm -f "$out/boot.img"
truncate -s 64M "$out/boot.img"
id=00000000-0000-4000-8000-0000000000b0
mke2fs -q -t ext4 -O '^metadata_csum,^64bit,^has_journal,^orphan_file' -U "$id" -E "hash_seed=$id,lazy_itable_init=0" \
  -L boot -d "$work/boot" "$out/boot.img"
printf '%s\n' "$version" >"$out/version"
say "slot: root $((size / 1048576)) MiB, boot $(du -m "$out/boot.img" | cut -f 1) MiB used"
