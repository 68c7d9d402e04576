# Shared by the *.bats files: servers that end with their test, and checks that
# do not use the code under test.

bats_require_minimum_version 1.5.0

setup() {
  set -o pipefail
  exec </dev/null # bats may have been given an empty pipe, which tools take for a failed one
  export LC_ALL=C # one order for sort, comm and audit
  cd "$BATS_TEST_TMPDIR" || return
  # What a tool leaves in TMPDIR is found by teardown.
  export TMPDIR=$BATS_TEST_TMPDIR/tmpdir
  mkdir "$TMPDIR"
  servers=()
}

teardown() {
  local pid
  if [ -z "${BATS_TEST_COMPLETED-}" ]; then # shown if the test has failed
    printf 'the last run printed:\n%s\n' "$(tail -n 40 <<<"${output-}"$'\n'"${stderr-}")"
  fi
  # Whoever a failed test leaves behind would keep the whole run from ending.
  for pid in "${servers[@]}" $(jobs -p); do
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  if [ -n "$(ls -A "$TMPDIR")" ]; then
    echo "left in TMPDIR:" "$(ls -A "$TMPDIR")"
    return 1
  fi
}

# serve [FLAG…]: starts oci-serve over $PWD/storage on a free loopback port.
# Sets registry to its localhost:port, server to its process and served to what it
# prints, which must end with the address. Returns once it accepts connections,
# which is when it writes its record.
serve() {
  # bats waits for whoever has its descriptor 3.
  exec {records}< <(exec oci-serve --host 127.0.0.1 --port 0 --storage storage --format '{{.address}}' "$@" 2>>serve.err 3>&-)
  server=$!
  servers+=("$server")
  IFS= read -r -t 60 served <&"$records" || { cat serve.err; return 1; }
  registry=localhost:${served##*:}
}

# stop PID [SIGNAL]: ends a server and waits until it is gone.
stop() {
  kill "-${2-TERM}" "$1"
  wait "$1" 2>/dev/null || true
}

# asleep PID: returns when a process waits, and has done nothing for a while. Each
# of its threads waits: on a busy machine the first one may sleep while another is
# still initializing what the program consists of.
asleep() {
  local now before='' same=0
  for _ in {1..200}; do
    now=$(cat /proc/"$1"/task/*/stat 2>/dev/null | awk '{ printf "%s %s %s ", $3, $14, $15 }')
    [ -e "/proc/$1/stat" ] || return 0
    same=$([ "$now" = "$before" ] && echo $((same + 1)) || echo 0)
    [ "$same" -lt 4 ] || [[ $now == *[RD]* ]] || return 0
    before=$now
    sleep 0.05
  done
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

# sigstore KEY FILE: writes FILE.sigstore.json, the signature that cosign 3 writes
# with a key.
sigstore() {
  jq -cn --arg hint "$(openssl pkey -in "$1" -pubout -outform der | openssl dgst -sha256 -binary | base64 -w0)" \
    --arg digest "$(openssl dgst -sha256 -binary "$2" | base64 -w0)" \
    --arg signature "$(openssl dgst -sha256 -sign "$1" "$2" | base64 -w0)" \
    '{mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", verificationMaterial: {publicKey: {$hint}},
      messageSignature: {messageDigest: {algorithm: "SHA2_256", $digest}, $signature}}' >"$2.sigstore.json"
}

# expected [FILE]: what the generator says a bundle holds for a registry, as
# sorted lines "repository tag digest".
expected() {
  jq -r '.entries[] | select(.kind == "oci") | "\(.repository) \(.tag) \(.digest)"' "${1-$SAMPLE/manifest.json}" | sort
}

# published: what the registry has, in the same form. One more line tells if a
# digest is wrong or something that a tag leads to is absent.
published() { audit "http://$registry" || echo 'and something is wrong'; }

# unlisted: published without the indexes of referrers, which clients keep under
# a tag where a registry does not list those.
unlisted() { published | grep -vE ' sha256-[0-9a-f]{64} '; }

# same EXPECTED ACTUAL: two texts are equal; shows how they differ.
same() {
  diff <(echo "$1") <(echo "$2") | head -n 20
}

# explained TOOL: the last `run --separate-stderr` failed with one clear line,
# perhaps a hint, and no trace of a crash. Messages about waiting may precede it.
explained() {
  # shellcheck disable=SC2154 # set by run
  echo "stderr: $stderr"
  [[ $stderr == "$1: "* ]]
  [[ $stderr != *goroutine* && $stderr != *panic* ]]
  [ "$(grep -vcE '^hint: |; trying again$|: waiting for the first answer of ' <<<"$stderr")" = 1 ]
}
