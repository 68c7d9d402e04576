#!/usr/bin/env bash
# Makes what the *.bats files and the cases share, in a directory: DIR/bin, the
# programs of the tests, and DIR/sample, the sample bundle in each of its forms
# with what its generator says of it. The tools must have been built.
set -euo pipefail
dir=$(realpath "$1")
cd "$(dirname "$0")/.."
go build -ldflags '-s -w' -o "$dir/bin/" ./tests/samplebundle/cmd/mkbundle ./tests/k0s/cmd/mkk0s ./tests/k0s/cmd/etcdpeer \
  ./tests/audit ./tests/cutoff ./tests/machine/cmd/unchanged
mkdir "$dir/sample"
cd "$dir/sample"
mkbundle() { "$dir/bin/mkbundle" "$@"; }
mkbundle --out bundle.tgz --manifest manifest.json
mkbundle --out bundle.tar --format tar
mkbundle --out bundle.tzst --format tar.zst
mkbundle --out bundle --format dir
# Larger, where something must happen in the middle.
mkbundle --out large.tar --format tar --size 64MiB --seed 7 --manifest large.json
