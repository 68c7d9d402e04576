#!/usr/bin/env bash
# Runs the parts of the test suite that are named, or all, and closes with the
# counts. With CI=true a skipped test is a failure. A part is made of jobs, which
# run beside those of the others.
#
#   lint         gofmt, vet, staticcheck, shellcheck, mandoc
#   unit         go test of every package, fuzz seeds included, with the race
#                detector where there are goroutines
#   conformance  the OCI distribution-spec suite against oci-serve
#   browser      oci-serve's page in Chromium
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

# As go.mod declares it.
module=$(sed -n 's/^module //p' go.mod)

# concurrent lists the packages that have goroutines, or call what does. Those
# that link Helm take minutes to compile for the race detector: they are among
# them with CI=true, and for `make race`.
concurrent() {
  grep -rlE --include='*.go' --exclude='*_test.go' '^\s*go |x/sync|net/http' cmd lib | xargs -n 1 dirname | sort -u |
    if [ "${CI-}" = true ]; then cat; else grep -v ^cmd/k0rdent-install; fi | sed "s,^,$module/,"
}

# memory makes a directory in memory for temporary files, if there is room: half
# of the unit tests' time goes into files that they soon delete. Its name is this
# tree's, since Go runs a test again when TMPDIR has changed.
memory() {
  local dir
  [ "$(df --output=avail -B1M /dev/shm 2>/dev/null | tail -n 1)" -gt 4096 ] 2>/dev/null || return
  dir=/dev/shm/u$(cksum <<<"$PWD" | cut -d' ' -f1) # short, for the paths of sockets
  rm -rf "$dir" # from a run that was killed
  mkdir "$dir" && chmod 1777 "$dir" && echo "$dir" # some tests are another user
}

# go_test FLAG…: runs tests of Go, their temporary files in memory. Test programs
# are linked twice as fast without tables for debuggers, and lint has vetted them.
go_test() { TMPDIR=${shm:-${TMPDIR:-/tmp}} go test -ldflags='-s -w' -vet=off -parallel 4 -timeout 20m -json "$@"; }

# tested PACKAGE…: tests packages, with ${flags[@]}. Those that have not changed are
# not run again, except with CI=true, and except for those whose tests build or list
# this tree, of whose files Go does not know.
tested() {
  local status=0 builders some rest
  builders=$(printf '%s\n' "$module"/tests/{chaos,house})
  [ "${CI-}" != true ] || builders=$(printf '%s\n' "$@")
  mapfile -t some < <(printf '%s\n' "$@" | grep -Fx "$builders")
  mapfile -t rest < <(printf '%s\n' "$@" | grep -Fxv "$builders")
  [ ${#rest[@]} = 0 ] || go_test "${flags[@]}" "${rest[@]}" || status=1
  [ ${#some[@]} = 0 ] || go_test -count=1 "${flags[@]}" "${some[@]}" || status=1
  return $status
}

unit() {
  local status=0 packages flags=()
  go -C packaging test -count=1 -json ./sbom || status=1
  mapfile -t packages < <(go list ./... | if raceable; then grep -Fxv -f <(concurrent); else cat; fi)
  raceable || echo "ok - race detector # skip no $(go env CC) on this machine"
  tested "${packages[@]}" || status=1
  return $status
}

race() {
  local packages flags
  raceable || return 0
  mapfile -t packages < <(concurrent)
  # Compression and the sample's generator are computation, which the detector
  # would slow down tenfold: they are built without it.
  flags=(-race -gcflags='github.com/klauspost/compress/...=-race=false -d=checkptr=0'
    -gcflags="$module/lib/gunzip=-race=false -d=checkptr=0"
    -gcflags="$module/tests/samplebundle=-race=false -d=checkptr=0")
  CGO_ENABLED=1 tested "${packages[@]}"
}

raceable() { command -v "$(go env CC)" >/dev/null; }

conformance() { tests/conformance/run.sh; }

browser() { go -C tests/browser test -count=1 -json ./...; }

containerd() { go -C tests/containerd test -count=1 -parallel 4 -json ./...; }

cluster() { go -C tests/cluster test -ldflags='-s -w' -vet=off -count=1 -parallel 3 -timeout 20m -json ./...; }

# What is built to be shipped, what installs it and how it is written about.
shipped=(tests/{arm64,completions,docs,install,install-systemd,nspawn,packages,site,sync,systemd}.bats)

cases() { tests/cases/run.sh; }

# over FILE [N OF]: has bats run it, or the N-th share of its tests.
over() {
  local only=. names
  if ! command -v bats >/dev/null; then
    echo "ok - $1 # skip no bats on this machine"
    return
  fi
  if [ $# = 3 ]; then
    names=$(sed -n 's/^@test .\(.*\). {$/\1/p' "$1" | awk -v n="$2" -v of="$3" 'NR % of == n % of')
    # shellcheck disable=SC2016 # a $ of a regular expression
    only=$(sed 's/[][\.*^$()+?{}|]/\\&/g; s/.*/^&$/' <<<"$names" | paste -sd'|')
    # All of them, rather than none, where names are not what they look like.
    [ "$(sed -n '/^@test /=' "$1" | awk -v n="$2" -v of="$3" 'NR % of == n % of' | wc -l)" = "$(bats --count --filter "$only" "$1")" ] || only=.
  fi
  bats --tap --print-output-on-failure --filter "$only" "$1"
}

# jobs_of PART: what a part is made of, a command on each line.
jobs_of() {
  local release
  release=$(printf 'over %s\n' "${shipped[@]}")
  case $1 in
  unit) printf '%s\n' race unit ;;
  processes)
    printf 'over %s\n' tests/*.bats | grep -Fxv "$release"
    echo cases
    ;;
  release) echo "$release" ;;
  *) echo "$1" ;;
  esac | sed -E 's,^over tests/(install|controllers)\.bats$,& 1 2\n& 2 2,'
}

# What takes longest begins first, or the whole would wait for it at its end.
computing='race
unit
over tests/packages.bats
lint
over tests/docs.bats
over tests/peers-auth.bats
over tests/pipe.bats
browser'
waiting='cluster
over tests/install-systemd.bats
over tests/install.bats 1 2
over tests/install.bats 2 2
over tests/site.bats
over tests/controllers.bats 1 2
over tests/controllers.bats 2 2
over tests/k0s-up.bats
over tests/input.bats
over tests/signals.bats
over tests/tty.bats'

# A job runs inside a pipe, so its own status travels as a TAP line. What it says
# comes in one piece, at its end.
job() {
  local log
  log=$(mktemp)
  local TIMEFORMAT='%0R s, %0U+%0S s of CPU'
  # shellcheck disable=SC2086 # a command and its argument
  { time { ($1) >"$log" 2>&1 </dev/null; }; } 2>"$log.time" || echo "not ok - $1 ended with status $?" >>"$log"
  {
    flock 9
    printf '\n# %s, %s\n' "$1" "$(cat "$log.time")"
    cat "$log"
  } 9>"$work/lock"
  rm "$log" "$log.time"
}

# pool N: runs the jobs on stdin, N at a time.
pool() {
  local name running=0
  while IFS= read -r name; do
    [ $running -lt "$1" ] || { wait -n; running=$((running - 1)); }
    job "$name" &
    running=$((running + 1))
  done
  wait
}

# together PART…: runs the jobs of all parts: those that compute, one on each core,
# and beside them those that mostly wait, two more at a time.
together() {
  local all name cores
  cores=$(nproc)
  all=$(for name in "$@"; do jobs_of "$name"; done)
  grep -Fx "$all" <<<"$computing" | pool "$cores" &
  { grep -Fx "$all" <<<"$waiting"; grep -Fxv "$computing"$'\n'"$waiting" <<<"$all"; } | pool $((cores + 2)) &
  wait
}

# unchanged closes the run: tests write to their own directories only, and end what they start.
unchanged() {
  if go run ./tests/machine/cmd/unchanged "$1"; then
    echo 'ok - the machine is as it was'
  else
    echo 'not ok - the tests changed the machine'
  fi
}

[ $# -gt 0 ] || set -- lint unit conformance browser containerd cluster processes release
# arm64.bats and the unit tests look at the tools for arm64 as well.
if ! { tests/setup.sh && make -s build && GOARCH=arm64 make -s build BIN=.cache/arm64; }; then
  echo '0 passed, 1 failed'
  exit 1
fi
export TOOLS_BUILT=yes # for tests/house
work=$(mktemp -d)
trap 'rm -rf "$work" "$shm"' EXIT
shm=$(memory) || shm=
go run ./tests/machine/cmd/unchanged -processes >"$work/machine" || exit
# What the *.bats files and the cases share.
PREPARED=$work/prepared
export PREPARED
mkdir "$PREPARED" && tests/prepare.sh "$PREPARED" || exit
strict=()
[ "${CI-}" != true ] || strict=(-strict)
{
  together "$@"
  unchanged "$work/machine" 2>&1
} | go run ./tests/tally "${strict[@]}"
