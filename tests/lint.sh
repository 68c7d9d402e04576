#!/usr/bin/env bash
# Reads the sources the way their linters do; prints one TAP line a linter.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
PATH=$PWD/.cache/bin:$PATH
bad=0

# check NAME COMMAND…: passes if the command succeeds and prints nothing.
check() {
  local name=$1 out
  shift
  if ! command -v "$1" >/dev/null; then
    echo "ok - lint: $name # skip no $1 on this machine"
  elif out=$("$@" 2>&1) && [ -z "$out" ]; then
    echo "ok - lint: $name"
  else
    printf 'not ok - lint: %s\n%s\n' "$name" "$out"
    bad=1
  fi
}

mapfile -t modules < <(find . -name go.mod -not -path './.cache/*' -printf '%h\n' | sort)
mapfile -t scripts < <(find . -path ./.cache -prune -o \( -name '*.sh' -o -name '*.bats' -o -name '*.bash' \) -print | sort)
mapfile -t pages < <(find man -name '*.[1-9]' | sort)

check gofmt gofmt -l cmd lib tests
for m in "${modules[@]}"; do
  check "vet $m" go -C "$m" vet ./...
  check "staticcheck $m" env -C "$m" staticcheck ./...
done
check shellcheck shellcheck .ci/run "${scripts[@]}"
check mandoc mandoc -Tlint -Wstyle "${pages[@]}"
exit $bad
