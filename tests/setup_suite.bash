# Runs once before all *.bats files, so that `bats tests` needs no preparation
# but what tests/setup.sh installs.

setup_suite() {
  bats_require_minimum_version 1.5.0
  ROOT=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
  make -s -C "$ROOT" build
  go build -C "$ROOT" -o "$BATS_SUITE_TMPDIR/bin/" ./tests/samplebundle/cmd/mkbundle ./tests/k0s/cmd/mkk0s ./tests/k0s/cmd/etcdpeer ./tests/audit ./tests/cutoff ./tests/machine/cmd/unchanged
  export ROOT PATH=$ROOT/bin:$ROOT/.cache/bin:$BATS_SUITE_TMPDIR/bin:$PATH

  unchanged >"$BATS_SUITE_TMPDIR/machine"

  # The sample bundle in each of its forms, and what its generator says of it.
  export SAMPLE=$BATS_SUITE_TMPDIR/sample
  mkdir "$SAMPLE"
  mkbundle --out "$SAMPLE/bundle.tgz" --manifest "$SAMPLE/manifest.json"
  mkbundle --out "$SAMPLE/bundle.tar" --format tar
  mkbundle --out "$SAMPLE/bundle.tzst" --format tar.zst
  mkbundle --out "$SAMPLE/bundle" --format dir
  # Larger, where something must happen in the middle.
  mkbundle --out "$SAMPLE/large.tar" --format tar --size 64MiB --seed 7 --manifest "$SAMPLE/large.json"
}

# Tests write to their own directories only.
teardown_suite() { unchanged "$BATS_SUITE_TMPDIR/machine"; }
