#!/bin/sh
# Makes keys to sign bundles with while developing: an authority (its key is thrown away after it signed the signer) and
# a signer below it. A release brings its own, made and kept elsewhere. Runs inside the toolbox.
#
# Usage: keys.sh OUT_DIR
# Leaves: ca.pem (goes into the image), signer.pem, signer.key
set -eu
out=$1
[ -e "$out/signer.key" ] && exit
umask 077
mkdir -p "$out"
new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
new_key "$out/ca.key"
openssl req -x509 -new -key "$out/ca.key" -days 7300 -subj '/O=Spyoncino/CN=Development authority' \
  -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' -out "$out/ca.pem"
new_key "$out/signer.key.new"
printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning,emailProtection\n' >"$out/extensions"
openssl req -new -key "$out/signer.key.new" -subj '/O=Spyoncino/CN=Development signer' |
  openssl x509 -req -CA "$out/ca.pem" -CAkey "$out/ca.key" -days 1095 -extfile "$out/extensions" -out "$out/signer.pem" 2>/dev/null
rm "$out/ca.key" "$out/extensions"
mv "$out/signer.key.new" "$out/signer.key"
