# Runs once before all *.bats files: `bats tests` needs no other preparation.

setup_suite() {
  bats_require_minimum_version 1.5.0
  ROOT=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
  make -s -C "$ROOT" build
  export ROOT PATH=$ROOT/bin:$ROOT/.cache/bin:$PATH

  # The sample bundle in each of its forms, and bundles with one defect each.
  export SAMPLE=$BATS_SUITE_TMPDIR/sample
}
