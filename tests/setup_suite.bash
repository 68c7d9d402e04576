# Runs once before all *.bats files, so that `bats tests` needs no preparation
# but what tests/setup.sh installs. Under tests/run.sh the preparation is PREPARED.

setup_suite() {
  bats_require_minimum_version 1.5.0
  ROOT=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
  if [ -z "${PREPARED-}" ]; then
    PREPARED=$BATS_SUITE_TMPDIR/prepared
    mkdir "$PREPARED"
    make -s -C "$ROOT" build
    "$ROOT/tests/prepare.sh" "$PREPARED"
  fi
  export ROOT PREPARED SAMPLE=$PREPARED/sample PATH=$ROOT/bin:$ROOT/.cache/bin:$PREPARED/bin:$PATH
  unchanged >"$BATS_SUITE_TMPDIR/machine"
}

# Tests write to their own directories only.
teardown_suite() { unchanged "$BATS_SUITE_TMPDIR/machine"; }
