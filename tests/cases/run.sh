#!/usr/bin/env bash
# Runs the cases that are named, or all, and prints one TAP line for each. A
# case is a directory here: "cmd" runs the built tools on an input, and "want"
# says what must come of it.
# shellcheck disable=SC2034,SC2154,SC2317 # what is sourced uses, sets and calls the rest
set -uo pipefail
cases=$(cd "$(dirname "$0")" && pwd) || exit
# The *.bats files and the cases share their preparation and their helpers.
bats_require_minimum_version() { :; }
BATS_TEST_DIRNAME=$cases/..
BATS_SUITE_TMPDIR=$(mktemp -d)
trap 'rm -rf "$BATS_SUITE_TMPDIR"' EXIT
for shared in setup_suite.bash lib/helper.bash lib/layout.bash; do
  # shellcheck source=/dev/null
  . "$cases/../$shared" || exit
done

skip() {
  echo "$*" >"$BATS_TEST_TMPDIR/.skip"
  exit
}

# trial NAME: runs a case in a directory of its own. It prints what is not as
# wanted, and ends with the status of the comparison.
trial() {
  export CASE=$cases/$1 BATS_TEST_TMPDIR=$BATS_SUITE_TMPDIR/$1
  mkdir "$BATS_TEST_TMPDIR" && setup || exit
  registry='' failed=0
  # An error of the shell in compare ends it there, with status 0.
  trap 'compare $? >&3 || failed=1; teardown >&3 || failed=1; : >"$BATS_TEST_TMPDIR/.ended"; exit $failed' EXIT
  set -e
  # shellcheck source=/dev/null
  . "$CASE/cmd" 3>&- >.stdout 2>.stderr
}

# compare STATUS: compares the outcome of a case with its table.
compare() {
  local bad=0 what rest
  set +e
  cd "$BATS_TEST_TMPDIR" && [ ! -e .skip ] || return
  [ -z "$registry" ] || published >.registry
  while read -r what rest; do
    wanted "$1" "$what" "$rest" || { echo "want: $what $rest"; bad=1; }
  done < <(printf '%s\n' 'not-stderr panic|goroutine' 'not-registry wrong' && cat "$CASE/want")
  [ "$bad" = 0 ] || {
    echo "status: $1"
    tail -n 20 .stdout .stderr .registry 2>/dev/null
  }
  return "$bad"
}

# wanted STATUS WHAT REST: reports whether a line of a table holds.
wanted() {
  case $2 in
  '' | '#'*) ;;
  status) [ "$1" = "$3" ] ;;
  stdout | stderr) grep -qE -e "$3" ".$2" ;;
  not-stdout | not-stderr) ! grep -qE -e "$3" ".${2#not-}" ;;
  registry) stored "$3" ;;
  not-registry) [ ! -e .registry ] || ! grep -qE -e "$3" .registry ;;
  *) false ;;
  esac
}

# stored REPO:TAG [VARIABLE] or REPO@VARIABLE: the registry has the tag, with the
# digest that cmd put into the variable, or it has the digest.
stored() {
  local name=${1%% *} variable=${1##*[ @]}
  case $1 in
  *@*) curl -sfI -o /dev/null -H "Accept: $oci.manifest.v1+json, $oci.index.v1+json" \
    "http://$registry/v2/${1%%@*}/manifests/${!variable}" ;;
  *' '*) grep -qxF -e "${name%:*} ${name##*:} ${!variable}" .registry ;;
  *) grep -qF -e "${name%:*} ${name##*:} " .registry ;;
  esac
}

[ $# -gt 0 ] || mapfile -t < <(cd "$cases" && dirname -- */cmd) && set -- "${@-${MAPFILE[@]}}"
setup_suite || exit
status=0
for name; do
  if (trial "$name") 3>"$BATS_SUITE_TMPDIR/log" >&3 2>&3 && [ -e "$BATS_SUITE_TMPDIR/$name/.ended" ]; then
    reason=$(cat "$BATS_SUITE_TMPDIR/$name/.skip" 2>/dev/null) && reason=" # skip $reason"
    echo "ok - case: $name$reason"
  else
    echo "not ok - case: $name"
    sed 's/^/# /' "$BATS_SUITE_TMPDIR/log"
    status=1
  fi
done
teardown_suite || { echo 'not ok - case: they left their directories'; status=1; }
exit $status
