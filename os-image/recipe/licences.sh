#!/bin/sh
# Puts the licence texts of all that an image consists of into one file. Runs inside the toolbox.
#
# Usage: licences.sh OUT.tar.xz ROOT…
# ROOT: trees of file systems; of each their usr/share/doc/*/copyright, common-licenses and what npm packages bring
set -eu
out=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for root in "$@"; do
  (cd "$root" && find . \( -path './usr/share/doc/*/copyright' -o -path './usr/share/common-licenses/*' -o -name '*.copyright' \
    -o -path '*/node_modules/*' \( -iname 'licen[cs]e*' -o -iname 'notice*' -o -iname '*thirdparty*' \) \) ! -type d -print0 |
    cpio --quiet -0pdm "$work")
done
# A link to a file that is not here would say nothing.
find "$work" -xtype l -delete
tar -C "$work" -c --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$SOURCE_DATE_EPOCH" . | xz -9 >"$out"
