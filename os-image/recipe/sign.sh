#!/bin/sh
# Writes checksums of files and signs them, with the signer of the bundles. Runs inside the toolbox.
#
# Usage: sign.sh KEY_DIR OUT NAME…    (names in the folder of OUT)
# Leaves: OUT, OUT.cms (checked against ca.pem)
set -eu
keys=$1 out=$2
shift 2
cd "$(dirname "$out")"
sha256sum -- "$@" >"$out"
openssl cms -sign -binary -in "$out" -signer "$keys/signer.pem" -inkey "$keys/signer.key" -outform PEM -out "$out.cms"
openssl cms -verify -binary -inform PEM -in "$out.cms" -content "$out" -CAfile "$keys/ca.pem" -purpose any -out /dev/null 2>/dev/null
