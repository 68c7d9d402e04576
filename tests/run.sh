#!/usr/bin/env bash
# Runs the parts of the test suite that are named, or all, and closes with the
# counts. With CI=true a skipped test is a failure.
#
#   lint         gofmt, vet, staticcheck, shellcheck, mandoc
#   unit         go test of every package, fuzz seeds included, with the race
#                detector where there are goroutines
#   conformance  the OCI distribution-spec suite against oci-serve
#   containerd   real containerd daemons that pull from oci-serve as k0s has them
#                do, and never from anywhere else
#   cluster      k0rdent into a real Kubernetes API server and out of it
#   processes    bats: what needs processes: pipes, signals, kills, real peers;
#                and tests/cases: inputs from the field, each with its outcome
#   release      bats: packages, install.sh, services in booted containers, documents
set -uo pipefail
cd "$(dirname "$0")/.." || exit
PATH=$PWD/.cache/bin:$PWD/bin:$PATH
# As `make build` has it, so that what both need is compiled once.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS-} -trimpath"

lint() { tests/lint.sh; }

# concurrent lists the packages that have goroutines, or call what does. Those
# that link Helm take minutes to compile for the race detector: they are among
# them with CI=true, and for `make race`.
concurrent() {
  grep -rlE --include='*.go' --exclude='*_test.go' '^\s*go |x/sync|net/http' cmd lib | xargs -n 1 dirname | sort -u |
    if [ "${CI-}" = true ]; then cat; else grep -v ^cmd/k0rdent-install; fi | sed 's,^,k0rdent-airgap/,'
}

# memory makes a directory in memory for temporary files, if there is room: half
# of the unit tests' time goes into files that they soon delete.
memory() {
  [ "$(df --output=avail -B1M /dev/shm 2>/dev/null | tail -n 1)" -gt 4096 ] 2>/dev/null || return
  local dir
  dir=$(mktemp -d /dev/shm/unit.XXXXXX) && chmod 1777 "$dir" && echo "$dir" # some tests are another user
}

unit() {
  local TMPDIR=${TMPDIR-/tmp} shm
  export TMPDIR
  if shm=$(memory); then
    # shellcheck disable=SC2064 # this directory
    trap "rm -rf '$shm'" RETURN EXIT
    TMPDIR=$shm
  fi
  local status=0 raced plain
  go -C packaging test -count=1 -json ./sbom || status=1
  if ! command -v "$(go env CC)" >/dev/null; then
    echo "ok - race detector # skip no $(go env CC) on this machine"
    go test -count=1 -parallel 4 -json ./... || status=1
    return $status
  fi
  mapfile -t raced < <(concurrent)
  mapfile -t plain < <(go list ./... | grep -Fxv -f <(concurrent))
  go test -count=1 -parallel 4 -json "${plain[@]}" || status=1
  # Compression and the sample's generator are computation, which the detector
  # would slow down tenfold: they are built without it.
  CGO_ENABLED=1 go test -count=1 -parallel 4 -race -gcflags='github.com/klauspost/compress/...=-race=false -d=checkptr=0' \
    -gcflags='k0rdent-airgap/lib/gunzip=-race=false -d=checkptr=0' \
    -gcflags='k0rdent-airgap/tests/samplebundle=-race=false -d=checkptr=0' -json "${raced[@]}" || status=1
  return $status
}

conformance() { tests/conformance/run.sh; }

containerd() { go -C tests/containerd test -count=1 -parallel 4 -json ./...; }

# Helm makes for a large program. It is linked twice as fast without tables for
# debuggers, and lint has vetted it.
cluster() { go -C tests/cluster test -ldflags='-s -w' -vet=off -count=1 -parallel 3 -timeout 20m -json ./...; }

# What is built to be shipped, what installs it and how it is written about.
shipped=(tests/{arm64,completions,docs,install,install-systemd,nspawn,packages,site,systemd}.bats)

processes() {
  local rest
  mapfile -t rest < <(printf '%s\n' tests/*.bats | grep -Fxv "$(printf '%s\n' "${shipped[@]}")")
  over "${rest[@]}"
  tests/cases/run.sh
}

release() { over "${shipped[@]}"; }

# over FILE…: has bats run these.
over() {
  if ! command -v bats >/dev/null; then
    echo 'ok - bats # skip no bats on this machine'
    return
  fi
  bats --tap "$@"
}

# The parts run inside a pipe, so a part's own status travels as a TAP line.
parts() {
  local part
  for part in "$@"; do
    printf '\n# %s\n' "$part"
    "$part" 2>&1 </dev/null || echo "not ok - $part ended with status $?"
  done
}

# lanes runs the parts that take longest beside all others. What they say comes
# behind those.
lanes() {
  local logs part others=()
  logs=$(mktemp -d)
  for part in "$@"; do
    case $#/$part in
    1/*) others=("$part") ;;
    */unit | */processes | */release) parts "$part" >"$logs/$part" & ;;
    *) others+=("$part") ;;
    esac
  done
  parts "${others[@]}"
  wait
  for part in "$logs"/*; do
    [ ! -e "$part" ] || cat "$part"
  done
  rm -r "$logs"
}

# unchanged closes the run: tests write to their own directories only.
unchanged() {
  if go run ./tests/machine/cmd/unchanged "$1"; then
    echo 'ok - the machine is as it was'
  else
    echo 'not ok - the tests changed the machine'
  fi
}

[ $# -gt 0 ] || set -- lint unit conformance containerd cluster processes release
if ! { tests/setup.sh && make -s build; }; then
  echo '0 passed, 1 failed'
  exit 1
fi
before=$(mktemp)
trap 'rm -f "$before"' EXIT
go run ./tests/machine/cmd/unchanged >"$before" || exit
strict=()
[ "${CI-}" != true ] || strict=(-strict)
{
  lanes "$@"
  unchanged "$before" 2>&1
} | go run ./tests/tally "${strict[@]}"
