#!/usr/bin/env bash
# Runs the parts of the test suite that are named, or all, and closes with the
# counts. With CI=true a skipped test is a failure.
#
#   lint         gofmt, vet, staticcheck, shellcheck, mandoc
#   unit         go test of every package, fuzz seeds included
#   race         again with the race detector, where there are goroutines
#   conformance  the OCI distribution-spec suite against oci-serve
#   processes    bats: what needs processes: pipes, signals, kills, real peers
set -uo pipefail
cd "$(dirname "$0")/.." || exit
PATH=$PWD/.cache/bin:$PWD/bin:$PATH

lint() { tests/lint.sh; }

unit() { go test -json ./...; }

race() {
  if ! command -v "$(go env CC)" >/dev/null; then
    echo "ok - race detector # skip no $(go env CC) on this machine"
    return
  fi
  local packages
  mapfile -t packages < <(grep -rlE --include='*.go' --exclude='*_test.go' '^\s*go |errgroup|net/http|pgzip' cmd lib | xargs -n 1 dirname | sort -u | sed 's~^~./~')
  CGO_ENABLED=1 go test -race -json "${packages[@]}"
}

conformance() { tests/conformance/run.sh; }

processes() {
  if ! command -v bats >/dev/null; then
    echo 'ok - bats # skip no bats on this machine'
    return
  fi
  bats --tap tests
}

# The parts run inside a pipe, so a part's own status travels as a TAP line.
parts() {
  local part
  for part in "$@"; do
    printf '\n# %s\n' "$part"
    "$part" 2>&1 </dev/null || echo "not ok - $part ended with status $?"
  done
}

[ $# -gt 0 ] || set -- lint unit race conformance processes
if ! { tests/setup.sh && make -s build; }; then
  echo '0 passed, 1 failed'
  exit 1
fi
strict=()
[ "${CI-}" != true ] || strict=(-strict)
parts "$@" | go run ./tests/tally "${strict[@]}"
