# Shared by the *.bats files: servers that end with their test, and checks that
# do not use the code under test.

bats_require_minimum_version 1.5.0

setup() {
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

# images: the images of the sample as lines "repository tag digest type", from
# the manifest that its generator wrote.
images() {
  jq -r '.entries[] | select(.kind == "oci") | [.repository, .tag, .digest, .type] | join(" ")' "$SAMPLE/manifest.json" | sort
}

# published: what the registry has, in the same form, without the type. Reads
# every manifest and every blob through HTTP and computes the digests anew.
published() {
  local repository tag digest
  curl -sf "http://$registry/v2/_catalog?n=1000" | jq -r '.repositories[]' | while read -r repository; do
    curl -sf "http://$registry/v2/$repository/tags/list" | jq -r '.tags[]?' | while read -r tag; do
      digest=$(curl -sf "http://$registry/v2/$repository/manifests/$tag" | sha256sum)
      echo "$repository $tag sha256:${digest%% *}"
    done
  done | sort
}

# quiet_failure: the last `run --separate-stderr` failed as it should: with one
# clear line, perhaps a hint, and no trace of a crash.
quiet_failure() {
  # shellcheck disable=SC2154 # set by run
  [[ $stderr == "$1: "* ]]
  [[ $stderr != *goroutine* && $stderr != *panic* ]]
  # shellcheck disable=SC2154
  [ "$(grep -c -v '^hint: ' <<<"$stderr")" = 1 ]
}
