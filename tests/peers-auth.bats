#!/usr/bin/env bats
# oci-push and other registries that require TLS and a password: the current
# distribution, and Debian's.
# shellcheck disable=SC2154 # registry is set by peer, output and stderr by run

load lib/helper

secret=s3cret-and-more
inside=() # the prefix of commands in another network
# shellcheck disable=SC2016 # no variables: the line of htpasswd -B for pusher and that secret
htpasswd='pusher:$2a$04$5J6kfuMME1ZNy/j6Qsgz7eHBz24KbQ6mXXY22zXC4TO7Gdgc2eag2'

# peer PROGRAM [ADDRESS]: a registry over $PWD/distribution-PROGRAM, with TLS
# and a password where registry.tls lies. Sets registry to its name and port.
peer() {
  local log line=
  need "$1"
  cat >registry.yml <<Y
version: 0.1
storage: {filesystem: {rootdirectory: ./distribution-$1}}
http:
  addr: ${2-127.0.0.1}:0
$(cat registry.tls 2>/dev/null || true)
Y
  # Only its log has its port.
  exec {log}< <(OTEL_TRACES_EXPORTER=none exec "${inside[@]}" "$1" serve registry.yml 2>&1 3>&-)
  servers+=($!)
  until [[ $line == *'listening on '* ]]; do IFS= read -r -t 60 line <&"$log"; done
  [[ $line =~ listening\ on\ [^:]*:([0-9]+) ]]
  registry=${2-localhost}:${BASH_REMATCH[1]}
  cat <&"$log" >registry.log 3>&- &
}

# locked: makes peer require TLS, with its own authority, and a password.
locked() {
  need openssl
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj '/CN=site CA' \
      -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj '/CN=registry' \
      -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost \
      -CA ca.pem -CAkey ca.key -keyout tls.key -out tls.pem
  } 2>openssl.err || { cat openssl.err; return 1; }
  echo "$htpasswd" >htpasswd
  echo "$secret" >password
  cat >registry.tls <<'Y'
  tls: {certificate: tls.pem, key: tls.key}
auth: {htpasswd: {realm: site, path: htpasswd}}
Y
}

# push FLAG…: the sample bundle, records to the file "out".
push() { "${inside[@]}" oci-push --to "$registry" --quiet "$@" "$SAMPLE/bundle.tgz" >out; }

# whole PROGRAM [MORE]: peer PROGRAM has stored the whole sample bundle, and these
# additional lines.
whole() {
  mv registry.tls registry.locked
  peer "$1"
  mv registry.locked registry.tls
  same "$(printf '%s\n' "$(expected)" ${2+"$2"} | sort)" "$(unlisted)"
}

# secretless: nothing that was written or passed on contains the password.
secretless() {
  ! grep -rlF -e "$secret" -e "$(printf 'pusher:%s' "$secret" | base64)" "$@"
}

@test "auth: a user with a password file pushes to other registries over TLS" {
  local program
  locked
  for program in registry docker-registry; do
    peer "$program"
    push --ca ca.pem --username pusher --password-file password --verbose 2>err
    [ "$(jq -r 'select(.kind == "image").status' out | sort -u)" = pushed ]
    secretless out err
    push --ca ca.pem --username pusher --password-file password
    [ "$(jq -r 'select(.kind == "image").status' out | sort -u)" = exists ]
    whole "$program"
  done
}

@test "auth: --alias works with other registries, and sends no blob" {
  local program status blobs
  locked
  for program in registry docker-registry; do
    peer "$program"
    push --ca ca.pem --username pusher --password-file password
    for status in pushed exists; do
      blobs=$(grep -c '"PUT /v2/.*/blobs/' registry.log)
      oci-push --to "$registry" --ca ca.pem --username pusher --password-file password --quiet \
        --alias k0sproject/k0s:v1.32.8-k0s.0=also/k0s:v1,k0sproject/pause=also/pause --alias also/pause:3.9=also/pause:latest </dev/null >out
      [ "$(jq -r 'select(.kind == "image").status' out | xargs)" = "$status $status $status" ]
      [ "$(jq -s 'map(.pushedBytes // 0) | add' out)" = 0 ]
      [ "$(grep -c '"PUT /v2/.*/blobs/' registry.log)" = "$blobs" ] && [ "$blobs" -gt 20 ]
    done
    whole "$program" "$(expected | sed -n 's,^k0sproject/k0s v1.32.8-k0s.0 ,also/k0s v1 ,p; s,^k0sproject/pause 3.9 \(.*\),also/pause 3.9 \1\nalso/pause latest \1,p')"
  done
}

@test "auth: credentials of docker login are used" {
  locked
  peer registry
  mkdir docker
  jq -n --arg host "$registry" --arg auth "$(printf 'pusher:%s' "$secret" | base64)" '{auths: {($host): {auth: $auth}}}' >docker/config.json
  DOCKER_CONFIG=$PWD/docker push --ca ca.pem
  whole registry
}

@test "auth: a credential helper is asked for this registry" {
  locked
  peer registry
  mkdir docker helpers
  cat >helpers/docker-credential-safe <<'H'
#!/bin/sh
read -r server
echo "$1 $server" >>asked
printf '{"ServerURL":"%s","Username":"pusher","Secret":"s3cret-and-more"}\n' "$server"
H
  chmod +x helpers/docker-credential-safe
  jq -n --arg host "$registry" '{credHelpers: {($host): "safe"}}' >docker/config.json
  PATH=$PWD/helpers:$PATH DOCKER_CONFIG=$PWD/docker push --ca ca.pem
  [ "$(sort -u asked)" = "get $registry" ]
  whole registry
}

@test "auth: a wrong password, or none, ends the run with one line and a hint" {
  locked
  peer registry
  echo wrong-secret >wrong
  for flags in '--username pusher --password-file wrong' '--username nobody --password-file password' ''; do
    # shellcheck disable=SC2086 # flags are words
    run -1 --separate-stderr push --ca ca.pem $flags
    explained oci-push
    [[ ${stderr_lines[0]} == "oci-push: registry $registry: login "*': registry answered 401 Unauthorized'* ]]
    [[ ${stderr_lines[1]} == 'hint: '*password* ]]
    [[ $stderr != *wrong-secret* && $stderr != *"$secret"* ]]
    [ "$(jq -r .kind out)" = '' ]
  done
}

@test "auth: the password is in no argument, variable, record or temporary file" {
  local pid
  locked
  peer registry
  mkfifo bundle
  oci-push --to "$registry" --ca ca.pem --username pusher --password-file password --verbose - <bundle >out 2>err 3>&- &
  pid=$!
  exec {feed}>bundle
  head -c 100000 "$SAMPLE/bundle.tgz" >&"$feed"
  until grep -q '^oci-push: blob: ' err; do
    kill -0 "$pid"
    sleep 0.05
  done
  secretless "/proc/$pid/cmdline" "/proc/$pid/environ" out err "$TMPDIR"
  tail -c +100001 "$SAMPLE/bundle.tgz" >&"$feed"
  exec {feed}>&-
  wait "$pid"
  secretless out err
  whole registry
}

@test "auth: an unknown authority is reported, with a hint" {
  locked
  peer registry
  run -1 --separate-stderr push --username pusher --password-file password
  explained oci-push
  [[ ${stderr_lines[0]} == *'signed by an unknown authority'* ]]
  [[ ${stderr_lines[1]} == 'hint: '*--ca* ]]
  # A certificate for another name has nothing to do with the authority.
  run -1 --separate-stderr oci-push --to "127.0.0.1:${registry#*:}" --ca ca.pem --username pusher --password-file password --quiet "$SAMPLE/bundle.tgz"
  explained oci-push
  [[ ${stderr_lines[0]} == *certificate* && $stderr != *--ca* ]]
}

@test "auth: --insecure-skip-tls-verify works, and warns even when quiet" {
  locked
  peer registry
  run -0 --separate-stderr push --insecure-skip-tls-verify --username pusher --password-file password
  [[ $stderr == "oci-push: the certificate of $registry is not checked"* ]]
  whole registry
}

@test "auth: plain HTTP to another address is refused before the password is sent" {
  need curl ip nsenter unshare
  unshare -n true 2>/dev/null || skip 'no network namespaces for this user'
  echo "$secret" >password
  # A separate network, with an address that is not loopback.
  exec {ready}< <(exec unshare -n sh -c 'ip link set lo up && ip address add 10.99.0.1/32 dev lo && echo ready && exec sleep 600' 3>&-)
  servers+=($!)
  inside=(nsenter -t $! -n)
  IFS= read -r -t 60 <&"$ready"
  peer registry 10.99.0.1
  run -1 --separate-stderr push --username pusher --password-file password
  explained oci-push
  [[ ${stderr_lines[0]} == *'speaks plain HTTP' && ${stderr_lines[1]} == 'hint: '*--plain-http* ]]
  # No request came before this one.
  "${inside[@]}" curl -s "http://$registry/marker" >/dev/null
  until grep -q '"GET /marker' registry.log; do sleep 0.05; done
  run ! grep -q '/v2/' registry.log
  push --plain-http --username pusher --password-file password
  [ "$(jq -r 'select(.kind == "image").status' out | sort -u)" = pushed ]
}
