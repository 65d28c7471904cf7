#!/bin/sh
# Takes out of node_modules what the agent cannot load on that machine. A test starts the agent's parts without it.
#
# Usage: prune.sh NODE_MODULES NPM_CPU MODELS_DIR
set -eu
modules=$1 cpu=$2 models=$(CDPATH='' cd -- "$3" && pwd)
cd "$modules"

# What only other machines could load, and Node's own headers.
rm -rf onnxruntime-node/bin/napi-v*/darwin onnxruntime-node/bin/napi-v*/win32
[ "$cpu" = x64 ] || rm -rf onnxruntime-node/bin/napi-v*/linux/x64
[ "$cpu" = arm64 ] || rm -rf onnxruntime-node/bin/napi-v*/linux/arm64
find webgpu/dist -mindepth 1 -maxdepth 1 -type d ! -name "linux-$cpu" -exec rm -rf {} +
rm -rf "node-linux-$cpu/include" "node-linux-$cpu/share"

# Node refuses types below node_modules; maps are for debuggers.
find . -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' \) -delete
find . -type d \( -name test -o -name tests -o -name __tests__ -o -name benchmark -o -name benchmarks -o -name example \
  -o -name examples \) -prune -exec rm -rf {} +

# TensorFlow.js comes in a dozen forms each; Node takes one.
find @tensorflow/tfjs-*/dist @tensorflow/tfjs-*/wasm-out -type f ! -name 'tf-*.node.js' ! -path '*/dist/*.wasm' -delete

# Of this package just the models that ours are made of.
kept=$(sed -n 's|^ *- path: \(models/[^ ]*\)$|./\1|p' "$models"/*/model.yaml)
(cd @vladmandic/human && find . -type f ! -name package.json ! -name 'LICENSE*') | while read -r file; do
  printf '%s\n' "$kept" | grep -qxF -- "$file" || rm "@vladmandic/human/$file"
done

# WebRTC of node-av, which we do without: we import node-av/lib and node-av/constants.
rm -rf werift werift-* mediabunny mp4box node-av/dist/api node-av/dist/webrtc node-av/dist/ffmpeg

# Forms of a package for browsers, or for whoever loads it the other way.
rm -rf mqtt/dist minio/dist/main zod/src xml2js/lib/xml2js.bc.js
find . -depth -type d -empty -delete
