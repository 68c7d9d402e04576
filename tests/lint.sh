#!/usr/bin/env bash
# Reads the sources the way their linters do; prints one TAP line a linter.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
PATH=$PWD/.cache/bin:$PATH
bad=0

# check LABEL DIR COMMAND…: passes if the command, run there, succeeds and
# prints nothing.
check() {
  local label=$1 dir=$2 out
  shift 2
  if ! command -v "$1" >/dev/null; then
    echo "ok - lint: $label # skip no $1 on this machine"
  elif out=$(cd "$dir" && "$@" 2>&1) && [ -z "$out" ]; then
    echo "ok - lint: $label"
  else
    printf 'not ok - lint: %s\n%s\n' "$label" "$out"
    bad=1
  fi
}

check gofmt . gofmt -l cmd lib packaging tests
for module in . packaging tests/interop tests/containerd tests/cluster tests/browser; do
  go -C $module list -deps -test ./... >/dev/null 2>&1 # vet would tell of each download
  check "vet $module" $module go vet ./...
  check "staticcheck $module" $module staticcheck ./...
done
# portable OS: vets for OS what the tools that carry bundles consist of, and its
# tests.
# shellcheck disable=SC2317,SC2329 # called by check
portable() {
  local tools packages
  export GOOS=$1
  read -ra tools < <(sed -n 's,^CARRY *:= ,,p' Makefile)
  mapfile -t packages < <(go list -deps -f '{{if and (not .Standard) .Module.Main}}{{.ImportPath}}{{end}}' "${tools[@]/#/./cmd/}")
  [ ${#packages[@]} -gt 10 ] && go vet "${packages[@]}"
}
for os in darwin windows; do check "vet for $os" . portable $os; done
mapfile -t scripts < <(find .ci completions docs/examples download.sh packaging tests -name run -o -name '*.sh' -o -name '*.bats' -o -name '*.bash' | sort)
check shellcheck . shellcheck "${scripts[@]}"
check 'shellcheck install.sh' . sh -c 'cat lib/install/*.sh install.sh | shellcheck -' # one program
check 'shellcheck cases' . shellcheck -s bash -e SC2034,SC2154 tests/cases/*/cmd
check actionlint . actionlint .github/workflows/ci.yml docs/examples/ci.yml
# In their directory and all at once, so that references between them are found.
mapfile -t pages < <(cd man && ls)
check mandoc man mandoc -Tlint -Wstyle "${pages[@]}"
check voice . tests/voice/check.sh
exit $bad
