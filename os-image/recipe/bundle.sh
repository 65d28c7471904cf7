#!/bin/sh
# Makes a signed update bundle of a slot. Runs inside the toolbox.
#
# Usage: bundle.sh SLOT_DIR KEY_DIR OUT.raucb [COMPATIBLE]
set -eu
slot=$1 keys=$2 out=$3 compatible=${4:-spyoncino-arm64}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp --sparse=always "$slot/root.img" "$slot/boot.img" "$work/"
cat >"$work/manifest.raucm" <<MANIFEST
[update]
compatible=$compatible
version=$(cat "$slot/version")

[bundle]
format=verity

[image.rootfs]
filename=root.img
adaptive=block-hash-index

[image.boot]
filename=boot.img
adaptive=block-hash-index
MANIFEST
rm -f "$out"
rauc --cert="$keys/signer.pem" --key="$keys/signer.key" --keyring="$keys/ca.pem" bundle "$work" "$out" >/dev/null
say "bundle: $(du -m "$out" | cut -f 1) MiB"
