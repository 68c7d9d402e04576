#!/usr/bin/env bats
# k0s out of every form of a bundle, what is left behind when that is stopped,
# and what it packs, unpacked and run in a root file system of its own.
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

@test "k0s-extract: behind bundle-verify, only when every byte is the same" {
  need openssl
  cp "$SAMPLE/bundle.tgz" .
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out key.pub 2>/dev/null
  openssl dgst -sha256 -sign key.pem bundle.tgz | base64 -w 0 >bundle.tgz.sig
  bundle-verify --key key.pub bundle.tgz | bundle-version --all | bundle-ls | k0s-extract --to k0s >out
  [ "$(jq -r '"\(.kind) \(.status)"' out | sed -n '1p;$p' | xargs)" = 'bundle null file written' ]
  [ "$(jq -r .kind out | sort | uniq -c | awk '$2 == "bundle" || $2 == "version" || $2 == "file" { print $1 $2 }' | xargs)" = '1bundle 1file 1version' ]

  # Exchanged after it was verified, for one that is whole in itself.
  bundle-verify --key key.pub bundle.tgz >verdict
  mkbundle --seed 9 --out bundle.tgz
  run -1 --separate-stderr k0s-extract --to other <verdict
  told k0s-extract
  [[ $stderr == *'not the bundle that was verified'* ]]
  [ ! -e other ]

  # Not what was signed at all: nobody behind does anything.
  run -1 bash -c 'set -o pipefail; bundle-verify --key key.pub bundle.tgz 2>/dev/null | tee verdict | k0s-extract --to other'
  [[ $output == *'its signature is bad'* ]]
  [ "$(jq -r .signature verdict)" = bad ]
  [ ! -e other ]
}

@test "k0s-extract: a bundle that is cut off or changed leaves the old k0s" {
  local size at
  size=$(stat -c %s "$SAMPLE/bundle.tgz")
  mkk0s --claim v1.31.0+k0s.0 --out k0s
  cp k0s old
  for at in $((size / 3)) $((size / 2)) $((size - 1)); do
    head -c "$at" "$SAMPLE/bundle.tgz" >cut.tgz
    run -1 --separate-stderr k0s-extract --to k0s cut.tgz
    told k0s-extract
    [[ $stderr == *cut.tgz* && $stderr == *truncated* ]]
    cmp k0s old
    cp "$SAMPLE/bundle.tgz" changed.tgz
    printf '\xa5\x5a' | dd of=changed.tgz bs=1 seek=$((at - 2)) conv=notrunc status=none
    run -1 --separate-stderr k0s-extract --to k0s changed.tgz
    told k0s-extract
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

@test "k0s-extract: SIGINT and SIGTERM end it with 130 and nothing left" {
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
  # While it waits for records, too.
  coproc waiting { exec env --default-signal=INT k0s-extract --to bin/k0s 2>err 3>&-; }
  pid=$waiting_PID
  echo '{"kind":"note"}' >&"${waiting[1]}"
  IFS= read -r _ <&"${waiting[0]}"
  kill -INT "$pid"
  status=0
  wait "$pid" || status=$?
  [ $status = 130 ]
}

@test "k0s-extract: a full disk leaves the old k0s, and says so" {
  [ "$(id -u)" = 0 ] || skip 'only root can mount'
  large
  mkdir mnt
  mount -t tmpfs -o size=4m tmpfs mnt || skip 'no tmpfs can be mounted'
  mkk0s --claim v1.31.0+k0s.0 --out mnt/k0s
  cp mnt/k0s old
  run -1 --separate-stderr k0s-extract --to mnt/k0s k0s.tar
  told k0s-extract
  [[ $stderr == *mnt/k0s*'no space left on device'* ]]
  cmp mnt/k0s old
  [ "$(ls -A mnt)" = k0s ]
  # What is unchanged needs neither room nor a file system to write to.
  mount -o remount,ro mnt
  k0s-extract --from old --to mnt/k0s --k0s-version v1.31.0 --format '{{.status}}' >out
  [ "$(cat out)" = unchanged ]
}

@test "k0s-extract: on a terminal it neither waits nor prints an archive" {
  need script
  run -2 script -qec 'k0s-extract' /dev/null
  [[ $output == *'no input'* && $output == *hint:* ]]
  run -2 script -qec "k0s-extract --export - '$SAMPLE/bundle.tgz'" /dev/null
  [[ $output == *'refusing to write an archive to a terminal'* ]]
}

@test "k0s-extract: a build that carries k0s puts it in place without a bundle" {
  mkk0s --out k0s-v1.32.8+k0s.0-amd64
  run -2 make -s -C "$ROOT" build-airgap BIN="$PWD/bin"
  [[ $output == *'which k0s?'* ]]
  head -c 1000 k0s-v1.32.8+k0s.0-amd64 >k0s-v1.32.9+k0s.0-amd64
  run ! make -s -C "$ROOT" build-airgap BIN="$PWD/bin" K0S="$PWD/k0s-v1.32.9+k0s.0-amd64"
  [[ $output == *'carries nothing'* ]]
  SOURCE_DATE_EPOCH=1700000000 make -s -C "$ROOT" build-airgap BIN="$PWD/bin" K0S="$PWD/k0s-v1.32.8+k0s.0-amd64"
  make -s -C "$ROOT" clean-airgap BIN="$PWD/none"
  [ ! -e "$ROOT/cmd/k0s-extract/embedded" ]
  bin/airgap/k0s-extract --flavor >out
  [ "$(xargs <out)" = "flavor airgap k0s v1.32.8+k0s.0 platform linux/amd64 digest sha256:$(sha256sum <k0s-v1.32.8+k0s.0-amd64 | cut -d' ' -f1) built 2023-11-14T22:13:20Z" ]
  bin/airgap/k0s-extract --to placed --format '{{.status}} {{.version}} {{.source}}' </dev/null >out
  [ "$(cat out)" = 'written v1.32.8+k0s.0 embedded' ]
  cmp placed k0s-v1.32.8+k0s.0-amd64
  # A terminal does not keep it waiting, as it would a build without.
  need script
  run -0 script -qec 'bin/airgap/k0s-extract --to placed --format "{{.status}}"' /dev/null
  [[ $output == unchanged* ]]
  run -1 --separate-stderr k0s-extract --from embedded
  [[ $stderr == *'this build carries no k0s'* ]]
}

# clean_root: a root file system at root with a shell and coreutils, and
# nothing else, of a host at 10.0.0.6 that has a default route and a nameserver.
clean_root() {
  local program library
  mkdir -p root/bin root/usr/bin root/dev root/proc/net root/etc root/tmp
  cp "$(command -v dash)" root/bin/sh
  for program in cat chmod cp env fold id mkdir mktemp mv paste rm sha256sum sleep sort stat sync tail tr uname; do
    cp "$(command -v "$program")" root/usr/bin/
  done
  for library in $(ldd root/bin/sh root/usr/bin/* | grep -o '/[^ ]*' | grep -v : | sort -u); do
    mkdir -p "root${library%/*}"
    cp -L "$library" "root$library"
  done
  mknod -m 666 root/dev/null c 1 3
  routes '00000000 0100000A 0003 00000000' '0000000A 00000000 0001 00FFFFFF'
  addresses 127.0.0.1 10.0.0.6
  echo nameserver 10.0.0.6 >root/etc/resolv.conf
}

# routes 'TO GATEWAY FLAGS MASK'…: those of eth0, as the kernel lists them.
routes() {
  local to gateway flags mask
  echo Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT >root/proc/net/route
  printf '%s\n' "$@" | while read -r to gateway flags mask; do echo "eth0 $to $gateway $flags 0 0 0 $mask 0 0 0"; done >>root/proc/net/route
}

# addresses ADDRESS…: those of the host.
addresses() { printf '           |-- %s\n              /32 host LOCAL\n' "$@" >root/proc/net/fib_trie; }

# inside COMMAND…: runs it in root, with the stand-in told to work there.
inside() { chroot root /usr/bin/env -i PATH=/usr/bin:/bin K0S_ROOT=/ K0S_LOG=/log "K0S_FAIL=${fail-none}" ${kubectl:+"K0S_KUBECTL=$kubectl"} "$@"; }

# packed ROLE [FLAG…]: makes a.tar.gz for a host of that role, and unpacks it
# in root. Sets at to its directory, as root sees it.
packed() {
  local role=$1
  shift
  mkk0s --claim v1.36.3+k0s.2 --out k0s
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=site -keyout key -out ca.crt -days 2 2>/dev/null
  mkdir first
  K0S_ROOT=$PWD/first ./k0s install controller
  K0S_ROOT=$PWD/first ./k0s start
  K0S_ROOT=$PWD/first ./k0s token create --role "${role%+*}" >made
  mv made token
  [ -e k0s.yaml ] || echo 'spec: {network: {nodeLocalLoadBalancing: {enabled: true}}, api: {address: 10.0.0.5, sans: [10.0.0.5, api.site.example]}}' >k0s.yaml
  k0s-extract --from ./k0s --export a.tar.gz --role "$role" --mirror https://10.0.0.5:5000/site --ca ca.crt "$@" >out
  [ "$(statuses_of out)" = written ]
  tar xzpf a.tar.gz -C root
  at=/$(cd root && echo k0s-*)
}

# state: every file that a host got, with its mode and sum.
state() { (cd root && find etc usr/local var run -type f -printf '%m %p\n' -exec sha256sum {} + 2>/dev/null | sort); }

# joinable: skips where no root file system can be made.
joinable() {
  [ "$(id -u)" = 0 ] || skip 'only root can change its root directory'
  need dash openssl
  clean_root
}

@test "join.sh: a worker joins with a shell and coreutils, its token goes, and again" {
  joinable
  packed worker --token-file token
  [ "$(stat -c %a a.tar.gz)" = 600 ]
  inside sh "$at/join.sh" --plan >plan
  grep -q '^would write /usr/local/bin/k0s$' plan
  grep -q '^would write /etc/k0s/containerd.d/cri-registry.toml$' plan
  grep -q '^would run k0s install worker --token-file /etc/k0s/join-token$' plan
  [ ! -e root/etc/k0s ] && [ ! -e root/usr/local ]

  inside sh "$at/join.sh" >did
  [ "$(tail -n 1 did)" = 'joined: k0s v1.36.3+k0s.2 runs as worker' ]
  cmp root/usr/local/bin/k0s k0s
  [ "$(stat -c %a root/usr/local/bin/k0s)" = 755 ]
  diff -r "root$at/etc" root/etc --exclude systemd --exclude resolv.conf
  [ "$(grep -E '^(install|start)' root/log | xargs)" = 'install worker --token-file /etc/k0s/join-token start' ]
  [ ! -e root/etc/k0s/join-token ] && [ ! -e "root$at/token" ]
  [ -z "$(find root -name '*.new*')" ]

  state >before
  inside sh "$at/join.sh" >again
  same "$(cat before)" "$(state)"
  run ! grep -v '^unchanged\|^joined' again
  [ "$(grep -cE '^(install|start)' root/log)" = 2 ]
}

@test "join.sh: a controller that runs pods too gets the k0s.yaml of the first" {
  joinable
  packed controller+worker --token-file token --k0s-yaml k0s.yaml
  inside sh "$at/join.sh" >did
  [ "$(grep '^install' root/log)" = 'install controller --token-file /etc/k0s/join-token --config /etc/k0s/k0s.yaml --enable-worker --no-taints' ]
  [ ! -e root/etc/k0s/join-token ]
  # It has the address of this host, and not that of the first.
  [ "$(stat -c %a root/etc/k0s/k0s.yaml)" = 600 ]
  run ! grep '10\.0\.0\.5' root/etc/k0s/k0s.yaml
  same "$(sed -n '/api:/,$p' root/etc/k0s/k0s.yaml)" "  api:
    address: '10.0.0.6'
    sans:
      - '$(uname -n | tr '[:upper:]' '[:lower:]')'
      - '10.0.0.6'
      - api.site.example"
  state >before
  inside sh "$at/join.sh" >again
  same "$(cat before)" "$(state)"
  run ! grep -v '^unchanged\|^joined' again
}

@test "join.sh: a controller takes the address of its default route, its k0s.yaml's, or the one it is given" {
  joinable
  packed controller --token-file token --k0s-yaml k0s.yaml
  # kube-router's bridge and docker's are no way out.
  addresses 127.0.0.1 10.0.0.6 10.244.1.1 172.17.0.1
  inside sh "$at/join.sh" >did
  grep -qx "    address: '10.0.0.6'" root/etc/k0s/k0s.yaml
  addresses 127.0.0.1 10.0.0.6 10.0.0.7
  inside sh "$at/join.sh" >did
  grep -qx "unchanged /etc/k0s/k0s.yaml" did
  rm root/etc/k0s/k0s.yaml
  run -1 --separate-stderr inside sh "$at/join.sh"
  [[ $stderr == *'several addresses that other nodes may reach: 10.0.0.6 10.0.0.7'*'--address'* ]]
  run -1 --separate-stderr inside sh "$at/join.sh" --address 10.0.0.8
  [[ $stderr == *'this host has no such address'*'10.0.0.6 10.0.0.7'* ]]
  inside sh "$at/join.sh" --address 10.0.0.7 >did
  grep -qx "    address: '10.0.0.7'" root/etc/k0s/k0s.yaml
}

@test "join.sh: a host without a default route or a nameserver is refused, with what cures it" {
  joinable
  packed worker --token-file token
  routes '0000000A 00000000 0001 00FFFFFF'
  run -1 --separate-stderr inside sh "$at/join.sh" --plan
  [[ $stderr == *'no default route'*'ip route add default via ADDRESS'* ]]
  # An unreachable one is none; one of IPv6 is.
  routes '00000000 00000000 0201 00000000'
  run -1 --separate-stderr inside sh "$at/join.sh"
  [[ $stderr == *'no default route'* ]]
  local zeros=00000000000000000000000000000000
  echo "$zeros 00 $zeros 00 fe800000000000000000000000000001 400 1 0 00000003 eth0" >root/proc/net/ipv6_route
  run -0 inside sh "$at/join.sh" --plan
  for text in '' '# none' 'nameserver 127.0.0.1' 'nameserver 127.0.0.53'; do
    echo "$text" >root/etc/resolv.conf
    run -1 --separate-stderr inside sh "$at/join.sh"
    [[ $stderr == *'names no nameserver but loopback'*'echo nameserver ADDRESS'* ]]
  done
  mkdir -p root/run/systemd/resolve
  echo 'nameserver 10.0.0.1' >root/run/systemd/resolve/resolv.conf
  run -0 inside sh "$at/join.sh" --plan
  rm root/etc/resolv.conf
  run -1 --separate-stderr inside sh "$at/join.sh"
  [[ $stderr == *'/etc/resolv.conf names no nameserver'* ]]
  [ ! -e root/etc/k0s ] && [ ! -e root/usr/local ]
}

@test "join.sh: joined means that the node is Ready and has an address" {
  joinable
  packed worker --token-file token
  for kubectl in 'printf "True "' 'printf "False 10.0.0.6"' 'echo refused >&2; exit 1'; do
    run -75 --separate-stderr inside sh "$at/join.sh" --wait 1
    [[ $stderr == *"node $(uname -n | tr '[:upper:]' '[:lower:]') is not Ready or has no InternalIP; the token stays"* ]]
    [ -e root/etc/k0s/join-token ]
  done
  # shellcheck disable=SC2034 # inside uses it
  kubectl='echo "$*" >/asked; printf "True 10.0.0.6"'
  inside sh "$at/join.sh" --wait 1 >did
  [[ $(cat root/asked) == "--kubeconfig /var/lib/k0s/kubelet.conf get node "* ]]
  [ ! -e root/etc/k0s/join-token ]
}

@test "k0s-extract: a controller is only packed for a cluster that reaches more than one" {
  mkk0s --out k0s
  echo 'spec: {api: {address: 10.0.0.5}}' >k0s.yaml
  run -2 --separate-stderr k0s-extract --from ./k0s --export a.tar.gz --role controller --k0s-yaml k0s.yaml
  [[ $stderr == *'neither spec.network.nodeLocalLoadBalancing nor spec.api.externalAddress leads to a second controller'*'hint: '* ]]
  [ ! -e a.tar.gz ]
  echo 'spec: {api: {address: 10.0.0.5, externalAddress: api.site.example}}' >k0s.yaml
  k0s-extract --from ./k0s --export a.tar.gz --role controller --k0s-yaml k0s.yaml
  tar xOzf a.tar.gz --wildcards '*/k0s.yaml' >packed
  run ! grep '10\.0\.0\.5' packed
  grep -q 'externalAddress: api.site.example' packed
}

@test "join.sh: what it is given, what it is not, and what is in its way" {
  joinable
  packed worker
  [ "$(stat -c %a a.tar.gz)" = 644 ]
  run -1 --separate-stderr inside sh "$at/join.sh"
  [[ $stderr == *'there is no join token'*'k0s token create --role=worker'* ]]
  [ ! -e root/etc/k0s ]

  # Another k0s runs: it stays, as all else does.
  mkdir -p root/usr/local/bin root/run/k0s
  mkk0s --claim v1.35.1+k0s.0 --out root/usr/local/bin/k0s
  echo worker >root/run/k0s/status.sock
  cp token root/mine
  run -1 --separate-stderr inside sh "$at/join.sh" --token-file mine
  [[ $stderr == *'is another k0s, and runs'* ]]
  rm root/run/k0s/status.sock
  mkk0s --claim v1.40.0+k0s.0 --out root/usr/local/bin/k0s
  run -1 --separate-stderr inside sh "$at/join.sh" --token-file mine
  [[ $stderr == *'is k0s v1.40.0+k0s.0, newer than v1.36.3+k0s.2'* ]]
  echo 'my notes' >root/usr/local/bin/k0s
  run -1 --separate-stderr inside sh "$at/join.sh" --token-file mine
  [[ $stderr == *'exists and is not a k0s that runs'* ]]
  [ ! -e root/etc/k0s ]

  # One bit of what was packed.
  printf x >>"root$at/etc/k0s/certs.d/_default/hosts.toml"
  run -1 --separate-stderr inside sh "$at/join.sh" --token-file mine --replace
  [[ $stderr == *'what was packed is damaged'* ]]
  [ ! -e root/etc/k0s ]
  tar xzpf a.tar.gz -C root

  # A token of the operator's own stays where it is; the copy goes.
  mkk0s --claim v1.35.1+k0s.0 --out root/usr/local/bin/k0s
  inside sh "$at/join.sh" --token-file mine >did
  cmp root/usr/local/bin/k0s k0s
  [ -e root/mine ] && [ ! -e root/etc/k0s/join-token ]

  run -2 --separate-stderr inside sh "$at/join.sh" --no-such
  run -2 --separate-stderr inside sh "$at/join.sh" --wait soon
  run -0 inside sh "$at/join.sh" --help
}

@test "join.sh: k0s that does not start, or not join, keeps the token for the next run" {
  joinable
  packed worker --token-file token
  fail=start run -1 --separate-stderr inside sh "$at/join.sh"
  [ "$(stat -c %a root/etc/k0s/join-token)" = 600 ]
  [ -e "root$at/token" ]
  # Started, and not joined: the service has lost its token.
  mv root/etc/k0s/join-token root/kept
  mv "root$at/token" root/kept2
  : >root/etc/k0s/join-token
  run -1 --separate-stderr inside sh "$at/join.sh" --wait 1
  [[ $stderr == *'there is no join token'* ]]
  mv root/kept root/etc/k0s/join-token
  inside sh "$at/join.sh" >did
  [ "$(tail -n 1 did)" = 'joined: k0s v1.36.3+k0s.2 runs as worker' ]
  [ ! -e root/etc/k0s/join-token ]
  [ "$(grep -c '^install' root/log)" = 1 ]
}

@test "join.sh: kill -9 at random instants, the next run completes" {
  local pid started duration dir
  joinable
  packed worker --token-file token
  cp -p "root$at/token" packed-token
  started=${EPOCHREALTIME/./}
  inside sh "$at/join.sh" >did
  duration=$((${EPOCHREALTIME/./} - started)) # in µs
  state >complete
  for _ in {1..12}; do
    rm -rf root/etc/k0s root/etc/systemd root/usr/local root/var root/run root/log
    cp -p packed-token "root$at/token"
    # A session of its own, so that one kill ends all of it.
    setsid chroot root /usr/bin/env -i PATH=/usr/bin:/bin K0S_ROOT=/ sh "$at/join.sh" >out 2>&1 3>&- &
    pid=$!
    sleep "$(awk -v r="$RANDOM" -v t=$duration 'BEGIN { printf "%.3f", r / 32768 * t / 1e6 }')"
    kill -KILL -- "-$pid" 2>/dev/null || kill -KILL $pid 2>/dev/null || true
    wait $pid || true
    # A host's directory is whole or not there: without hosts.toml, pulls would
    # go to the public registry.
    for dir in root/etc/k0s/certs.d/*; do
      [ ! -d "$dir" ] || [ -s "$dir/hosts.toml" ]
    done
    inside sh "$at/join.sh" >out
    same "$(cat complete)" "$(state)"
  done
}
