#!/usr/bin/env bats
# k0s-mirror-config among the other tools: at the end of their pipe, and checking a
# registry that they have filled. tests/containerd tests its files with real
# containerd.
# shellcheck disable=SC2154 # registry and server are set by serve, output and stderr by run

load lib/helper

# install_k0s ROOT: installs the stand-in for k0s.
install_k0s() {
  mkdir -p "$1/usr/local/bin"
  cp "$ROOT/tests/k0s/k0s" "$1/usr/local/bin/k0s"
  chmod 755 "$1/usr/local/bin/k0s"
}

@test "k0s-mirror-config: the last tool of the pipe passes records on, and knows where the images were pushed" {
  need jq
  serve --tls auto
  install_k0s host
  bundle-ls "$SAMPLE/bundle.tgz" | oci-push --to "127.0.0.1:${registry##*:}/site" --ca storage/tls/ca.pem --quiet >pushed
  # Only the registry's own record says that its address is loopback.
  jq -nc --arg url "https://127.0.0.1:${registry##*:}" --arg ca "$PWD/storage/tls/ca.pem" \
    '{kind: "registry", url: $url, ca: $ca}' | cat - pushed >records
  run -0 --separate-stderr k0s-mirror-config --root host <records
  [ -z "$stderr" ]
  same "$(cat records)" "$(head -n "$(wc -l <records)" <<<"$output")"
  [ "$(tail -n 1 <<<"$output" | jq -r '.counts | keys | join(" ")')" = written ]
  [ "$(jq -r 'select(.kind == "file") | .status' <<<"$output" | sort -u)" = written ]
  grep -qx "server = \"https://127.0.0.1:${registry##*:}/v2/site\"" host/etc/k0s/certs.d/quay.io/hosts.toml
  openssl x509 -in host/etc/k0s/certs.d/quay.io/ca.crt -noout -fingerprint >a
  openssl x509 -in storage/tls/ca.pem -noout -fingerprint >b
  cmp a b
  run -0 --separate-stderr k0s-mirror-config --root host <records
  [ "$(tail -n 1 <<<"$output" | jq -r '.counts | keys | join(" ")')" = unchanged ]
}

@test "k0s-mirror-config: a check names what is missing, and the command in its hint adds it" {
  local remedy
  need jq
  serve --tls auto
  install_k0s host
  bundle-ls "$SAMPLE/bundle.tgz" | grep -v '"repository":"pause"' | oci-push --to "$registry" --ca storage/tls/ca.pem --quiet >/dev/null
  k0s-mirror-config --root host --mirror "https://$registry" --ca storage/tls/ca.pem >/dev/null
  run -1 --separate-stderr k0s-mirror-config --root host --check
  [ "$(jq -r 'select(.kind == "image" and .status == "failed") | .reference' <<<"$output")" = registry.k8s.io/pause:3.9 ]
  [[ $stderr == *"$registry has no pause:3.9; the nearest match is k0sproject/pause:3.9"* ]]
  remedy=$(sed -n 's/^hint: .*: \(oci-push .*\)/\1/p' <<<"$stderr")
  [ -n "$remedy" ]
  # shellcheck disable=SC2086 # a command as printed
  $remedy --ca storage/tls/ca.pem --quiet >/dev/null
  run -0 --separate-stderr k0s-mirror-config --root host --check
  [ -z "$stderr" ]
  stop "$server"
  run -75 --separate-stderr k0s-mirror-config --root host --check --quiet
  [[ $stderr == *'connection refused'* ]]
}

@test "k0s-mirror-config: variables and a file set the same as flags" {
  install_k0s host
  printf 'mirror https://a.example\nmirror https://b.example\nroot %s\n' "$PWD/host" >settings
  k0s-mirror-config --config settings >/dev/null
  grep -q 'server = "https://b.example"' host/etc/k0s/certs.d/_default/hosts.toml
  grep -q 'host."https://a.example"' host/etc/k0s/certs.d/_default/hosts.toml
  K0S_MIRROR_CONFIG_MIRROR=https://b.example,https://a.example k0s-mirror-config --config settings >/dev/null
  grep -q 'server = "https://a.example"' host/etc/k0s/certs.d/_default/hosts.toml
}

@test "k0s-mirror-config: on a terminal it does not wait for stdin" {
  need script
  install_k0s host
  run -0 timeout 20 script -qec 'k0s-mirror-config --root host --plan --mirror https://m' /dev/null
  [[ $output == *planned* ]]
}

@test "k0s-mirror-config: an interrupt while it waits for records ends it with 130, and nothing is written" {
  local signal status
  install_k0s host
  for signal in INT TERM; do
    status=0
    coproc waiting { exec env --default-signal=INT k0s-mirror-config --root host --mirror https://m 2>err 3>&-; }
    echo '{"kind":"note"}' >&"${waiting[1]}"
    asleep=$waiting_PID
    IFS= read -r _ <&"${waiting[0]}" # it was passed on, so the tool is running
    kill -$signal "$asleep"
    wait "$asleep" || status=$?
    [ "$status" = 130 ]
    [ ! -e host/etc ]
    # shellcheck disable=SC2034 # explained reads it
    stderr=$(cat err)
    explained k0s-mirror-config
  done
}
