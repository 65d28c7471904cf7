#!/bin/sh
# Puts the agent with its production packages for another architecture into a folder. Runs on the machine itself (npm).
#
# Usage: agent.sh SOURCE_DIR NPM_CPU OUT_DIR
set -eu
source=$1 cpu=$2 out=$3
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"

mkdir -p "$out"
lock=$(cat "$source/package-lock.json" "$source/.npmrc" "$0" "$here/prune.sh" "$source"/device/detect/models/*/model.yaml | cksum)
if [ "$(cat "$out/packages.stamp" 2>/dev/null)" != "$lock" ]; then
  say "agent: packages for $cpu"
  rm -rf "$out/packages" && mkdir -p "$out/packages"
  cp "$source/package.json" "$source/package-lock.json" "$source/.npmrc" "$out/packages/"
  (cd "$out/packages" && nice -n 10 npm ci --omit=dev --os=linux --cpu="$cpu" --libc=glibc \
    --no-audit --no-fund --no-update-notifier --loglevel=error >&2)
  "$here/prune.sh" "$out/packages/node_modules" "$cpu" "$source/device/detect/models"
  # The entry of the lock file that is Node for this machine; npm links the one of the machine that it runs on.
  ln -sf "../node-linux-$cpu/bin/node" "$out/packages/node_modules/.bin/node"
  printf '%s\n' "$lock" >"$out/packages.stamp"
fi

# The agent itself, as committed or as it lies here, without tests and history.
target=$out/layer/opt/spyoncino
mkdir -p "$target"
if [ -d "$out/packages/node_modules" ]; then
  rm -rf "$target/node_modules" && mv "$out/packages/node_modules" "$target/node_modules"
fi
cd "$source"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) node_modules/.bin/node scripts/build.ts
find "$target" -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} +
{
  git ls-files -co --exclude-standard -- device config os-image/boot-state os-image/docker package.json LICENSE CHANGELOG.md README.md
  echo device/build.json
} | grep -v '^device/design/' | tar -c --no-recursion -T - | tar -x -C "$target" --no-same-owner
rm -rf "$target/config/certs"
