#!/usr/bin/env bats
# Interrupted, killed, disconnected: what is left behind, and what the next run does.
# shellcheck disable=SC2154 # registry and server are set by serve, output and stderr by run

load lib/helper

# as_typed COMMAND…: becomes the command, with SIGINT as a terminal leaves it.
# A shell ignores that signal in what it starts in the background.
as_typed() { exec env --default-signal=INT "$@" 3>&-; }

# half FILE: its first half, then the rest once a line was written to the FIFO go_on.
half() {
  local middle=$(($(stat -c %s "$1") / 2))
  head -c $middle "$1"
  read -r _ <go_on
  tail -c +$((middle + 1)) "$1"
}

# push_halfway FILE: starts oci-push with half of a bundle on its stdin and returns
# once the first image is there. Sets pid, and rest; a line written to rest releases
# the other half.
push_halfway() {
  mkfifo input go_on progress
  exec {rest}<>go_on # opened for both, it never waits for the other side
  half "$1" >input 3>&- &
  feeder=$!
  as_typed oci-push --to "$registry" - <input >out 2>progress &
  pid=$!
  exec {lines}<progress
  IFS= read -r _ <&"$lines"
  cat <&"$lines" >progress.rest 3>&- &
}

@test "signal: head -1 ends bundle-ls silently" {
  bundle-ls "$SAMPLE/large.tar" 2>err | head -1 >first || true
  [ -s first ]
  [ ! -s err ]
  run bash -c "set -o pipefail; yes '{\"kind\":\"note\"}' | { bundle-ls 2>err; echo \$? >status; } | head -1"
  [ "$output" = '{"kind":"note"}' ]
  [ "$(cat status)" = 141 ] # SIGPIPE
  [ ! -s err ]
}

# waiting: command lines of every tool in every state in which it waits. never is a
# pipe that nothing is written to, nobody one that is never opened.
waiting() {
  local tool
  for tool in bundle-version bundle-ls 'k0s-extract --to k0s' 'k0s-mirror-config --root root --mirror https://m' 'k0rdent-install --registry m' \
    'k0rdent-install --plan' 'k0rdent-install --uninstall --yes' 'k0s-up --registry m' 'k0s-up --reset --yes' "oci-push --to $registry" "oci-push --from $registry --to $registry/copy -" \
    "oci-push --alias a=b --to $registry" "oci-push --verified-by - --to $registry $SAMPLE/bundle.tgz" \
    'k0s-mirror-config --root root --mirror https://m --images -' \
    'bundle-verify --digest sha256:'"$(printf '%064d' 0)"' -' 'bundle-version -' 'bundle-ls -' 'k0s-extract --to k0s -' "oci-push --to $registry -"; do
    echo "$tool <never"
  done
  for tool in 'bundle-version nobody' 'bundle-ls nobody' 'k0s-extract --to k0s nobody' "oci-push --to $registry nobody" \
    "oci-push --verified-by nobody --to $registry $SAMPLE/bundle.tgz"; do
    echo "$tool </dev/null"
  done
  files nobody
  files never
}

# files PIPE: command lines of every tool that reads a small file, here that pipe.
files() {
  local tool
  for tool in bundle-verify bundle-version bundle-ls oci-serve oci-push k0s-extract k0s-mirror-config k0s-up k0rdent-install; do
    echo "$tool --config $1 </dev/null"
  done
  for tool in "bundle-verify --key $1 --signature sig $SAMPLE/bundle.tgz" "bundle-verify --key $1 --signature $1 $SAMPLE/bundle.tgz" \
    "bundle-verify --digest sha256:$(printf '%064d' 0) $1" "bundle-ls --map $1 $SAMPLE/bundle.tgz" \
    "oci-serve --port 0 --storage served --htpasswd $1" "oci-serve --port 0 --storage served --tls-cert $1 --tls-key $1" \
    "oci-push --ca $1 --to $registry $SAMPLE/bundle.tgz" "oci-push --username u --password-file $1 --to $registry $SAMPLE/bundle.tgz" \
    "oci-push --from $registry --from-username u --from-password-file $1 --to $registry/copy" \
    "oci-push --verified-by $1 --to $registry $SAMPLE/bundle.tgz" \
    "k0s-extract --ca $1 --from $registry/k0sproject/k0s --to k0s" \
    "k0s-mirror-config --root root --mirror https://m --images $1" "k0s-mirror-config --root root --mirror https://m --ca $1" \
    "k0s-mirror-config --root root --mirror https://m --username u --password-file $1" \
    "k0rdent-install --plan --registry m --ca $1" "k0rdent-install --config-check --credentials $1"; do
    echo "$tool </dev/null"
  done
}

@test "signal: the first SIGINT or SIGTERM ends every waiting tool, with 130 and one line" {
  local signal=TERM mode waiter
  serve
  mkfifo never nobody
  head -c 64 /dev/urandom | base64 -w 0 >sig
  # shellcheck disable=SC2034 # it is kept open
  exec {hold}<>never
  while read -r -u 4 mode; do
    signal=$([ "$signal" = TERM ] && echo INT || echo TERM)
    eval "as_typed ${mode% <*} <${mode##*<} >out 2>err {hold}>&- 4<&- &"
    waiter=$!
    asleep "$waiter"
    kill "-$signal" "$waiter"
    for _ in {1..400}; do
      [ -e "/proc/$waiter" ] && ! grep -q '^State:.Z' "/proc/$waiter/status" || break
      sleep 0.05
    done
    kill -KILL "$waiter" 2>/dev/null || true # it has had 20 seconds
    status=0
    wait "$waiter" || status=$?
    # shellcheck disable=SC2034 # explained reads it
    stderr=$(grep -v 'waiting for records on stdin' err)
    echo "SIG$signal: $mode: $status: $stderr"
    [ "$status" = 130 ]
    explained "${mode%% *}"
    [[ $stderr == *interrupted* ]]
  done 4< <(waiting)
}

@test "signal: SIGTERM ends oci-serve with 0 and frees the storage" {
  serve
  kill -TERM "$server"
  wait "$server"
  serve
}

@test "signal: SIGINT in the middle of a push leaves complete images, the next run completes" {
  local status=0
  serve
  push_halfway "$SAMPLE/large.tar"
  kill -INT "$pid"
  wait "$pid" || status=$?
  [ "$status" = 130 ]
  kill "$feeder" 2>/dev/null || true
  audit storage >/dev/null
  [ -n "$(published)" ]
  oci-push --to "$registry" --quiet "$SAMPLE/large.tar" >/dev/null
  same "$(expected "$SAMPLE/large.json")" "$(published)"
}

@test "kill: the registry dies in the middle of a push, the next run completes" {
  local status=0
  serve
  push_halfway "$SAMPLE/large.tar"
  stop "$server" KILL
  echo >&"$rest"
  wait "$pid" || status=$?
  [ "$status" = 75 ] || [ "$status" = 1 ]
  audit storage >/dev/null
  serve
  oci-push --to "$registry" --quiet "$SAMPLE/large.tar" >/dev/null
  same "$(expected "$SAMPLE/large.json")" "$(published)"
}

@test "kill: a registry that returns in time does no harm" {
  local port
  serve
  port=${registry##*:}
  push_halfway "$SAMPLE/large.tar"
  stop "$server" KILL
  serve --port "$port"
  echo >&"$rest"
  wait "$pid"
  same "$(expected "$SAMPLE/large.json")" "$(published)"
}

@test "kill -9 of oci-push at random instants: never a partial image, the next run completes" {
  local i pid started duration
  serve
  started=${EPOCHREALTIME/./}
  oci-push --to "$registry" --quiet "$SAMPLE/large.tar" >/dev/null
  duration=$((${EPOCHREALTIME/./} - started)) # in µs
  for i in {1..8}; do
    stop "$server"
    rm -rf storage
    serve
    as_typed oci-push --to "$registry" --quiet "$SAMPLE/large.tar" >/dev/null &
    pid=$!
    sleep "$(awk -v r="$RANDOM" -v t=$duration 'BEGIN { printf "%.3f", r / 32768 * t / 1e6 }')"
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" || true
    audit storage >/dev/null
    oci-push --to "$registry" --quiet "$SAMPLE/large.tar" >/dev/null
    same "$(expected "$SAMPLE/large.json")" "$(published)"
  done
}

@test "kill -9 of oci-serve at random instants: what a tag refers to is complete after the restart" {
  local i pusher
  for i in {1..8}; do
    serve
    as_typed oci-push --to "$registry" --quiet "$SAMPLE/large.tar" >pushed 2>/dev/null &
    pusher=$!
    sleep "0.$((RANDOM % 6))$((RANDOM % 10))"
    kill -KILL "$server" "$pusher" 2>/dev/null || true
    wait "$server" "$pusher" || true
    audit storage >/dev/null
    serve
    audit storage >/dev/null
    # What the registry acknowledged to oci-push is still there.
    # The last line may be cut off.
    jq -rR 'fromjson? | select(.status == "pushed") | "\(.repository) \(.tag) \(.digest)"' pushed | sort >acknowledged
    published | sort >there
    [ -z "$(comm -23 acknowledged there)" ]
    stop "$server"
    [ $((i % 3)) != 0 ] || rm -rf storage
  done
  serve
  oci-push --to "$registry" --quiet "$SAMPLE/large.tar" >/dev/null
  same "$(expected "$SAMPLE/large.json")" "$(published)"
}
