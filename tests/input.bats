#!/usr/bin/env bats
# What else can be on stdin: a verdict, nothing, a loop's list.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run
# shellcheck disable=SC2016,SC2002 # expanded where a command line runs; a pipe is what is tried

load lib/helper

# key NAME: an ECDSA key, NAME.pem and NAME.pub.
key() {
  need openssl
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.pem"
  openssl ec -in "$1.pem" -pubout -out "$1.pub" 2>/dev/null
}

# signed: bundle.tgz with its signature and cosign.pub, and stranger.pub, which did not sign it.
signed() {
  key cosign
  key stranger
  cp "$SAMPLE/bundle.tgz" .
  mkk0s --out k0s-v1.32.8+k0s.0-amd64
  openssl dgst -sha256 -sign cosign.pem bundle.tgz | base64 -w 0 >bundle.tgz.sig
}

# modes: command lines of every tool and mode that a verdict may be piped to
# although they name their input themselves.
modes() {
  printf '%s\n' \
    "bundle-verify --key cosign.pub $1" "bundle-version $1" "bundle-ls $1" "bundle-ls --blobs $1" \
    "bundle-ls --registry $registry" "bundle-ls --registry $registry --du" \
    "k0s-extract --to k0s $1" "k0s-extract --plan --to k0s $1" "k0s-extract --from ${1%/*}/k0s-v1.32.8+k0s.0-amd64 --to k0s" \
    "k0s-extract --name --to dir $1" \
    "oci-push --to $registry $1" "oci-push --plan --to $registry $1" "oci-push --platform linux/amd64 --to $registry $1" "oci-push --files dir --to $registry $1" \
    "oci-push --alias busybox=site/busybox --to $registry $1" "oci-push --from $registry --to $registry/copy" \
    "oci-push --verified-by verdict --to $registry $1"
}

# readers: command lines that read records.
readers() {
  printf '%s\n' bundle-version 'bundle-version --all' bundle-ls 'bundle-ls --blobs' \
    'k0s-extract --to k0s' 'k0s-extract --plan --to k0s' 'k0s-extract --name --to dir' \
    "oci-push --to $registry" "oci-push --plan --to $registry" "oci-push --alias busybox=site/busybox --to $registry" \
    "oci-push --from $registry --to $registry/copy -" "oci-push --verified-by - --to $registry $1" \
    'k0s-mirror-config --root root --mirror https://m' 'k0s-mirror-config --root root --mirror https://m --plan' \
    'k0s-mirror-config --root root --check' 'k0s-mirror-config --root root --remove' \
    'k0rdent-install --registry m' 'k0rdent-install --plan' 'k0rdent-install --rehearse --registry m' 'k0rdent-install --upgrade' 'k0rdent-install --uninstall --yes' 'k0s-up --registry m' 'k0s-up --reset --yes'
}

# untouched: nothing was published or installed.
untouched() {
  same '' "$(published)"
  [ ! -e k0s ] && [ -z "$(ls -A dir 2>/dev/null)" ] && [ ! -e root/etc ]
}

@test "input: a bad verdict piped to a tool that names the bundle itself is not ignored" {
  local mode
  signed
  serve
  touch verdict
  while read -r mode; do
    run --separate-stderr bash -c "bundle-verify --quiet --key stranger.pub bundle.tgz 2>/dev/null | $mode 2>err >out; exit \${PIPESTATUS[1]}"
    echo "$mode: $status: $(cat err)"
    [ "$status" = 1 ] || [ "$status" = 2 ]
    [ ! -s out ] || [ "$(jq -r '"\(.kind) \(.signature)"' out)" = 'bundle bad' ]
    untouched
  done < <(modes "$PWD/bundle.tgz")
}

@test "input: a bad verdict prints one hint, however many tools it ends" {
  signed
  serve
  run --separate-stderr bash -c "bundle-verify --quiet --key stranger.pub bundle.tgz | bundle-version | oci-push --quiet --to $registry"
  echo "$status: $stderr"
  [ "$status" = 1 ]
  [ "$(grep -c 'its signature is bad' <<<"$stderr")" = 2 ]
  [ "$(grep -c '^hint:' <<<"$stderr")" = 1 ]
  untouched
}

@test "input: a good verdict piped to a tool that does not read it is a misuse" {
  local mode
  signed
  serve
  touch verdict
  while read -r mode; do
    run --separate-stderr bash -c "bundle-verify --quiet --key cosign.pub bundle.tgz | $mode >out; exit \${PIPESTATUS[1]}"
    echo "$mode: $status: $stderr"
    [ "$status" = 2 ]
    [[ $stderr == *'records are piped in'*hint:*'</dev/null'* ]]
    [ ! -s out ]
    untouched
  done < <(modes "$PWD/bundle.tgz")
}

@test "input: a bad verdict ends every tool that reads records, in every mode" {
  local mode
  serve
  echo '{"kind":"note"}' >bad
  echo '{"kind":"bundle","path":"'"$SAMPLE"'/bundle.tgz","signature":"bad"}' >>bad
  bundle-ls "$SAMPLE/bundle.tgz" >>bad
  while read -r mode; do
    run --separate-stderr bash -c "$mode <bad >out"
    echo "$mode: $status: $stderr"
    [ "$status" = 1 ]
    [[ $stderr == *'its signature is bad'* ]]
    case $mode in
    *export*) ;;
    *) [ "$(jq -r 'select(.kind == "bundle").signature' out)" = bad ] ;;
    esac
    untouched
  done < <(readers "$SAMPLE/bundle.tgz")
}

@test "input: a verdict counts after other text, and in any layout" {
  local before mode
  signed
  serve
  for before in '{ echo verifying; VERIFY; }' 'VERIFY | jq .' 'VERIFY | jq -s .' 'VERIFY | tee log' 'VERIFY | cat -'; do
    before=${before//VERIFY/bundle-verify --quiet --key stranger.pub bundle.tgz}
    for mode in "oci-push --quiet --to $registry $PWD/bundle.tgz" "k0s-extract --to k0s $PWD/bundle.tgz"; do
      run --separate-stderr bash -c "$before 2>/dev/null | $mode >out; exit \${PIPESTATUS[@]: -1}"
      echo "$before | $mode: $status: $stderr"
      [ "$status" = 1 ] || [ "$status" = 2 ]
      untouched
    done
  done
}

@test "input: a verdict that arrives late through another program counts before anything is published" {
  local mode pids=() n=0
  serve
  echo '{"kind":"bundle","path":"/b","signature":"bad"}' >bad
  for mode in "bundle-version $SAMPLE/bundle.tgz" "bundle-ls $SAMPLE/bundle.tar" "k0s-extract --to k0s $SAMPLE/bundle.tgz" "oci-push --to $registry $SAMPLE/bundle.tar"; do
    n=$((n + 1))
    bash -c "(sleep 4; cat bad) | $mode >out.$n 2>err.$n; echo \${PIPESTATUS[1]} >status.$n" 3>&- &
    pids+=($!)
  done
  wait "${pids[@]}"
  for n in 1 2 3 4; do
    echo "$n: $(cat status.$n err.$n)"
    [ "$(cat status.$n)" = 1 ]
    grep -q 'its signature is bad' err.$n
  done
  untouched
}

@test "input: a bundle that changed after its verification is not listed to the end, published or installed" {
  local form mode
  serve
  digest=sha256:$(printf '%064d' 0)
  for form in bundle.tgz bundle.tar bundle.tzst bundle; do
    printf '{"kind":"bundle","path":"%s","digest":"%s","signature":"good"}\n' "$SAMPLE/$form" "$digest" >verdict
    bundle-ls "$SAMPLE/$form" >list
    for mode in bundle-version 'bundle-version --all' bundle-ls 'k0s-extract --to k0s' 'k0s-extract --name --to dir' \
      "oci-push --to $registry" "oci-push --verified-by verdict --to $registry $SAMPLE/$form </dev/null"; do
      run --separate-stderr bash -c "cat verdict list | $mode >out; exit \${PIPESTATUS[1]}"
      echo "$form: $mode: $status: $stderr"
      [ "$status" = 1 ]
      [[ $stderr == *verified* ]]
      untouched
      case $mode in
      bundle-version*) [ "$(jq -r 'select(.kind == "version").version' out)" = '' ] ;;
      esac
    done
  done
}

# failures: command lines of bundle-verify without a result.
failures() {
  printf '%s\n' 'bundle-verify --key nosuch.pub bundle.tgz' 'bundle-verify --key cosign.pub nosuch.tgz' 'bundle-verify bundle.tgz' \
    'bundle-verify --key cosign.pub --signature nosuch.sig bundle.tgz' 'bundle-verify --kye cosign.pub bundle.tgz' 'bundle-verify --key cosign.pub'
}

@test "input: a verification without a result ends every tool, in every mode" {
  local failure mode
  signed
  serve
  touch verdict
  while read -r failure; do
    while read -r mode; do
      run --separate-stderr bash -c "$failure 2>/dev/null | $mode 2>err >out; exit \${PIPESTATUS[1]}"
      echo "$failure | $mode: $status: $(cat err)"
      [ "$status" = 1 ] || [ "$status" = 2 ]
      [[ $(cat err) == *'could not be verified: '* || $(cat err) == *'records are piped in'* ]]
      untouched
    done < <(readers "$PWD/bundle.tgz"; [[ $failure != *nosuch.pub* ]] || modes "$PWD/bundle.tgz")
  done < <(failures)
}

@test "input: a pipe without a single record ends every tool that needs records, in every mode" {
  local mode
  serve
  while read -r mode; do
    run --separate-stderr bash -c "no-such-program 2>/dev/null | $mode >out; exit \${PIPESTATUS[1]}"
    echo "$mode: $status: $stderr"
    [ "$status" = 1 ]
    [[ $stderr == *'no records'* || $stderr == *'no verdict'* ]]
    [ -z "$(jq -r 'select(.kind != "summary").kind' out)" ]
    untouched
  done < <(readers "$SAMPLE/bundle.tgz" | grep -v -e ^k0s-mirror-config -e ^k0s-up -e ^k0rdent-install -e --alias)
}

@test "input: where records are optional, the empty pipe of a remote shell or a job runner is not an error" {
  local one
  serve
  oci-push --quiet --to "$registry" "$SAMPLE/bundle.tgz" >pushed
  true | k0s-mirror-config --root root --k0s-version 1.32.8+k0s.0 --mirror https://m
  [ -e root/etc/k0s/containerd.d ]
  one=$(jq -r 'select(.kind == "image") | .repository + ":" + .tag' pushed | head -n 1)
  true | oci-push --quiet --alias "$one=site/copy:1" --to "$registry" | jq -es 'any(.repository == "site/copy" and .status == "pushed")'
}

@test "input: bundle-verify announces its verdict at once" {
  local mode
  signed
  serve
  mkfifo slow
  # shellcheck disable=SC2034 # it is kept open
  exec {hold}<>slow
  for mode in "k0s-extract --to k0s $PWD/bundle.tgz" "oci-push --to $registry $PWD/bundle.tgz"; do
    run --separate-stderr timeout 20 bash -c "bundle-verify --key cosign.pub --signature bundle.tgz.sig slow | { $mode; echo \$? >status; kill -TERM \$(pgrep -P \$\$ -x bundle-verify); } >out"
    [ "$(cat status)" = 2 ]
    untouched
  done
}

# operands: a command line of each tool that names a bundle.
operands() {
  printf '%s\n' "bundle-version $1" "bundle-ls $1" "k0s-extract --replace --to k0s $1" "oci-push --to $registry $1"
}

@test "input: with a bundle named, a tool waits for no stdin, and leaves a loop its list" {
  local mode i
  serve
  mkfifo idle
  # shellcheck disable=SC2034 # it is kept open
  exec {hold}<>idle # like sshd, a parent process holds the other end and writes nothing
  printf '%s\n' 1 2 3 >list
  while read -r -u 4 mode; do
    echo "$mode"
    timeout 60 bash -c "$mode" <idle >out 2>err
    run ! grep 'waiting up to' err
    bash -c "$mode" </dev/null >out
    bash -c "$mode" <&- >out
    while read -r i; do bash -c "$mode" >out && echo "$i"; done <list >seen
    diff list seen
    cat list | while read -r i; do bash -c "$mode" >out && echo "$i"; done >seen
    diff list seen
  done 4< <(operands "$SAMPLE/bundle.tgz")
}

@test "input: a silent program at the other end of the pipe is waited for, with a message and a limit" {
  local mode pids=() n=0
  serve
  while read -r mode; do
    n=$((n + 1))
    bash -c "sleep 20 | { $mode >out.$n 2>err.$n; echo \$? >status.$n; }" 3>&- &
    pids+=($!)
  done < <(operands "$SAMPLE/bundle.tgz")
  wait "${pids[@]}" || true
  for n in 1 2 3 4; do
    [ "$(cat status.$n)" = 0 ]
    grep -q 'waiting up to 10s for the program that writes to stdin; use </dev/null' err.$n
  done
  same "$(expected)" "$(published)"
}
