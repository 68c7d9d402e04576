# Shared by the *.bats files: servers that end with their test, and checks that
# do not use the code under test.

bats_require_minimum_version 1.5.0

setup() {
  set -o pipefail
  cd "$BATS_TEST_TMPDIR" || return
  # What a tool leaves in TMPDIR is found by teardown.
  export TMPDIR=$BATS_TEST_TMPDIR/tmpdir
  mkdir "$TMPDIR"
  servers=()
}

teardown() {
  local pid
  for pid in "${servers[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  if [ -n "$(ls -A "$TMPDIR")" ]; then
    echo "left in TMPDIR:" "$(ls -A "$TMPDIR")"
    return 1
  fi
}

# serve [FLAG…]: starts oci-serve over $PWD/storage on a free loopback port.
# Sets registry to its localhost:port and server to its process. Returns once
# it accepts connections, which is when it writes its record.
serve() {
  local address
  # bats waits for whoever has its descriptor 3.
  exec {records}< <(exec oci-serve --host 127.0.0.1 --port 0 --storage storage --format '{{.address}}' "$@" 2>>serve.err 3>&-)
  server=$!
  servers+=("$server")
  IFS= read -r -t 10 address <&"$records" || { cat serve.err; return 1; }
  registry=localhost:${address##*:}
}

# stop PID: ends a server and waits until it is gone.
stop() {
  kill -TERM "$1"
  wait "$1" || true
}

# need PROGRAM…: skips the test where one is missing; with CI=true the run then fails.
need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || skip "no $program on this machine"
  done
}

# tools: the names of all of them.
tools() { (cd "$ROOT/cmd" && printf '%s\n' *); }

# expected [FILE]: what the generator says a bundle holds for a registry, as
# sorted lines "repository tag digest".
expected() {
  jq -r '.entries[] | select(.kind == "oci") | "\(.repository) \(.tag) \(.digest)"' "${1-$SAMPLE/manifest.json}" | sort
}

# published: what the registry has, in the same form; each digest is computed
# anew from the manifest that it serves.
published() {
  local repository tag sum
  curl -sSf "http://$registry/v2/_catalog?n=1000" | jq -r '.repositories[]' | while read -r repository; do
    curl -sSf "http://$registry/v2/$repository/tags/list" | jq -r '.tags[]?' | while read -r tag; do
      sum=$(curl -sSf -H 'Accept: */*' "http://$registry/v2/$repository/manifests/$tag" | sha256sum)
      echo "$repository $tag sha256:${sum%% *}"
    done
  done | sort
}

# whole STORAGE: reads a registry's directory without its server. Every blob is
# what its name says, and whatever a tag leads to is there.
whole() {
  local layout
  (cd "$1/blobs/sha256" && find . -type f -printf '%f\n' | xargs -r sha256sum | awk '$1 != $2 { print "damaged:", $0; bad = 1 } END { exit bad }') || return
  find "$1/repositories" -name _layout | while read -r layout; do
    leads_to "$layout" "$layout/index.json" || return
  done
}

# leads_to LAYOUT FILE: everything that a manifest or index names is there. An
# index may lack images of some platforms, never what it does have in part.
leads_to() {
  local type digest
  jq -r '(.config // empty, .layers[]?, .manifests[]?) | "\(.mediaType) \(.digest)"' "$2" | while read -r type digest; do
    if [ ! -f "$1/blobs/${digest/:/\/}" ]; then
      echo "absent: $digest of $2"
      return 1
    fi
    case $type in
    *manifest* | *index*) leads_to "$1" "$1/blobs/${digest/:/\/}" || return ;;
    esac
  done
}

# same EXPECTED ACTUAL: two texts are equal; shows how they differ.
same() {
  diff <(echo "$1") <(echo "$2")
}

# told TOOL: the last `run --separate-stderr` failed with one clear line and
# perhaps a hint, and without a trace of a crash.
told() {
  # shellcheck disable=SC2154 # set by run
  echo "stderr: $stderr"
  [[ $stderr == "$1: "* ]]
  [[ $stderr != *goroutine* && $stderr != *panic* ]]
  [ "$(grep -vc '^hint: ' <<<"$stderr")" = 1 ]
}
