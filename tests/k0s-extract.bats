#!/usr/bin/env bats
# k0s from every format of a bundle, and what a stopped run leaves behind.
# shellcheck disable=SC2154 # output and stderr are set by run

load lib/helper

eval "helper_$(declare -f teardown)"
teardown() {
  ! mountpoint -q "$BATS_TEST_TMPDIR/mnt" || umount "$BATS_TEST_TMPDIR/mnt"
  helper_teardown
}

# statuses_of FILE…: the status in each record.
statuses_of() { jq -r 'select(.kind == "file").status' "$@"; }

# large: a bundle in which k0s takes a while, at k0s.tar.
large() { mkbundle --archives 2 --size 24MiB --format tar --out k0s.tar; }

@test "k0s-extract: from tar.gz, tar.zst, tar, a directory and stdin, and again" {
  local form
  for form in bundle.tgz bundle.tzst bundle.tar bundle; do
    k0s-extract --to "$form/k0s" "$SAMPLE/$form" >first
    k0s-extract --to "$form/k0s" "$SAMPLE/$form" >second
    [ "$(statuses_of first second | xargs)" = 'written unchanged' ]
    [ "$("$form/k0s" version)" = v1.32.8+k0s.0 ]
    [ "$(jq -r .digest second)" = "sha256:$(sha256sum <"$form/k0s" | cut -d' ' -f1)" ]
    [ "$(stat -c %a "$form/k0s")" = 755 ]
    [ "$(ls -A "$form")" = k0s ]
  done
  # shellcheck disable=SC2002 # a pipe is meant
  cat "$SAMPLE/bundle.tgz" | k0s-extract --to piped --format '{{.status}} {{.source}}' - >out
  [ "$(cat out)" = 'written bundle - k0sproject/k0s_v1.32.8-k0s.0.tar' ]
  cmp piped bundle/k0s
}

@test "k0s-extract: after bundle-verify, only if every byte is the same" {
  need openssl
  cp "$SAMPLE/bundle.tgz" .
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out key.pub 2>/dev/null
  openssl dgst -sha256 -sign key.pem bundle.tgz | base64 -w 0 >bundle.tgz.sig
  bundle-verify --key key.pub bundle.tgz | bundle-version --all | bundle-ls | k0s-extract --to k0s >out
  [ "$(jq -r '"\(.kind) \(.status)"' out | sed -n '1p;$p' | xargs)" = 'bundle null file written' ]
  [ "$(jq -r .kind out | sort | uniq -c | awk '$2 == "bundle" || $2 == "version" || $2 == "file" { print $1 $2 }' | xargs)" = '1bundle 1file 1version' ]

  # Replaced after the verification by another intact bundle.
  bundle-verify --key key.pub bundle.tgz >verdict
  mkbundle --seed 9 --out bundle.tgz
  run -1 --separate-stderr k0s-extract --to other <verdict
  explained k0s-extract
  [[ $stderr == *'not the bundle that was verified'* ]]
  [ ! -e other ]

  # Not the signed bundle at all: no later tool does anything.
  run -1 bash -c 'set -o pipefail; bundle-verify --key key.pub bundle.tgz 2>/dev/null | tee verdict | k0s-extract --to other'
  [[ $output == *'its signature is bad'* ]]
  [ "$(jq -r .signature verdict)" = bad ]
  [ ! -e other ]
}

@test "k0s-extract: a truncated or changed bundle leaves the old k0s" {
  local size at
  size=$(stat -c %s "$SAMPLE/bundle.tgz")
  mkk0s --claim v1.31.0+k0s.0 --out k0s
  cp k0s old
  for at in $((size / 3)) $((size / 2)) $((size - 1)); do
    head -c "$at" "$SAMPLE/bundle.tgz" >cut.tgz
    run -1 --separate-stderr k0s-extract --to k0s cut.tgz
    explained k0s-extract
    [[ $stderr == *cut.tgz* && $stderr == *truncated* ]]
    cmp k0s old
    cp "$SAMPLE/bundle.tgz" changed.tgz
    printf '\xa5\x5a' | dd of=changed.tgz bs=1 seek=$((at - 2)) conv=notrunc status=none
    run -1 --separate-stderr k0s-extract --to k0s changed.tgz
    explained k0s-extract
    cmp k0s old
  done
  [ -z "$(find . -name '*.new')" ]
}

@test "k0s-extract: kill -9 in the middle leaves the old k0s, the next run completes" {
  local pid
  large
  mkdir bin
  mkk0s --claim v1.31.0+k0s.0 --out bin/k0s
  cp bin/k0s old
  mkfifo input
  k0s-extract --to bin/k0s - <input >out 3>&- &
  pid=$!
  exec {feed}>input
  head -c $((16 << 20)) k0s.tar >&"$feed"
  for _ in {1..500}; do
    [ "$(ls -A bin)" = k0s ] || break
    sleep 0.02
  done
  kill -KILL $pid
  wait $pid || [ $? = 137 ]
  exec {feed}>&-
  cmp bin/k0s old
  [[ $(ls -A bin) == *.k0s.*.new* ]]
  k0s-extract --to bin/k0s k0s.tar >out
  [ "$(statuses_of out)" = written ]
  [ "$(ls -A bin)" = k0s ]
  [ "$(bin/k0s version)" = v1.32.8+k0s.0 ]
}

@test "k0s-extract: SIGINT and SIGTERM end it with 130 and leave nothing behind" {
  local pid signal status
  large
  mkdir bin
  for signal in INT TERM; do
    mkfifo input
    env --default-signal=INT k0s-extract --to bin/k0s - <input 2>err 3>&- &
    pid=$!
    exec {feed}>input
    head -c $((16 << 20)) k0s.tar >&"$feed"
    for _ in {1..500}; do
      [ -z "$(ls -A bin)" ] || break
      sleep 0.02
    done
    [[ $(ls -A bin) == .k0s.*.new ]]
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    exec {feed}>&-
    rm input
    [ $status = 130 ]
    [ "$(cat err)" = 'k0s-extract: interrupted' ]
    [ -z "$(ls -A bin)" ]
  done
  # The same while it waits for records.
  coproc waiting { exec env --default-signal=INT k0s-extract --to bin/k0s 2>err 3>&-; }
  pid=$waiting_PID
  echo '{"kind":"note"}' >&"${waiting[1]}"
  IFS= read -r _ <&"${waiting[0]}"
  kill -INT "$pid"
  status=0
  wait "$pid" || status=$?
  [ $status = 130 ]
}

@test "k0s-extract: a full disk leaves the old k0s, and is reported" {
  [ "$(id -u)" = 0 ] || skip 'only root can mount'
  large
  mkdir mnt
  mount -t tmpfs -o size=4m tmpfs mnt || skip 'no tmpfs can be mounted'
  mkk0s --claim v1.31.0+k0s.0 --out mnt/k0s
  cp mnt/k0s old
  run -1 --separate-stderr k0s-extract --to mnt/k0s k0s.tar
  explained k0s-extract
  [[ $stderr == *mnt/k0s*'no space left on device'* ]]
  cmp mnt/k0s old
  [ "$(ls -A mnt)" = k0s ]
  # An unchanged file needs neither space nor a writable file system.
  mount -o remount,ro mnt
  k0s-extract --from old --to mnt/k0s --k0s-version v1.31.0 --format '{{.status}}' >out
  [ "$(cat out)" = unchanged ]
}

@test "k0s-extract: on a terminal it does not wait" {
  need script
  run -2 script -qec 'k0s-extract' /dev/null
  [[ $output == *'no input'* && $output == *hint:* ]]
}

@test "k0s-extract: --export names its replacement, and writes nothing" {
  run -2 --separate-stderr k0s-extract --export a.tar.gz --role worker --mirror https://10.0.0.5:5000 "$SAMPLE/bundle.tgz"
  explained k0s-extract
  [[ $stderr == *'--export was removed'*'hint: use install.sh --export-worker or --export-controller '* ]]
  [ ! -e a.tar.gz ]
}

@test "k0s-extract: a build that includes k0s installs it without a bundle" {
  mkk0s --out k0s-v1.32.8+k0s.0-amd64
  run -2 make -s -C "$ROOT" build-airgap BIN="$PWD/bin"
  [[ $output == *'K0S=FILE is required'* ]]
  head -c 1000 k0s-v1.32.8+k0s.0-amd64 >k0s-v1.32.9+k0s.0-amd64
  run ! make -s -C "$ROOT" build-airgap BIN="$PWD/bin" K0S="$PWD/k0s-v1.32.9+k0s.0-amd64"
  [[ $output == *'no payload'* ]]
  SOURCE_DATE_EPOCH=1700000000 make -s -C "$ROOT" build-airgap BIN="$PWD/bin" K0S="$PWD/k0s-v1.32.8+k0s.0-amd64"
  make -s -C "$ROOT" clean-airgap BIN="$PWD/none"
  [ ! -e "$ROOT/cmd/k0s-extract/embedded" ]
  bin/airgap/k0s-extract --flavor >out
  [ "$(xargs <out)" = "flavor airgap k0s v1.32.8+k0s.0 platform linux/amd64 digest sha256:$(sha256sum <k0s-v1.32.8+k0s.0-amd64 | cut -d' ' -f1) built 2023-11-14T22:13:20Z" ]
  bin/airgap/k0s-extract --to placed --format '{{.status}} {{.version}} {{.source}}' </dev/null >out
  [ "$(cat out)" = 'written v1.32.8+k0s.0 embedded' ]
  cmp placed k0s-v1.32.8+k0s.0-amd64
  # It does not wait for a terminal, as other builds would.
  need script
  run -0 script -qec 'bin/airgap/k0s-extract --to placed --format "{{.status}}"' /dev/null
  [[ $output == unchanged* ]]
  run -1 --separate-stderr k0s-extract --from embedded
  [[ $stderr == *'this build does not include k0s'* ]]
}
