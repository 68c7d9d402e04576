#!/usr/bin/env bats
# The examples of oci-serve(8), CLIENTS and DELETING, run as printed, in a network
# where the registry is registry.site.example:5000, and with their own /etc.
# shellcheck disable=SC2154 # output is set by run

load lib/helper
load lib/guide

# place: creates that network and /etc. Sets place to a process in it.
place() {
  [ "$(id -u)" = 0 ] || skip 'not root'
  need unshare nsenter ip curl openssl script
  mkdir memory home
  mkfifo ready
  # shellcheck disable=SC2016 # for the shell in there
  unshare --mount --net --uts bash -euc '
    mount -t tmpfs place memory
    mkdir memory/{etc,work}
    mount -t overlay place -o "lowerdir=/etc,upperdir=$PWD/memory/etc,workdir=$PWD/memory/work" /etc
    mount -t tmpfs place /run
    ip link set lo up
    echo 127.0.0.1 registry.site.example >>/etc/hosts
    echo oci-serve:x:4243: >>/etc/group
    echo >ready
    exec sleep infinity' >place.log 2>&1 3>&- &
  place=$!
  servers+=("$place")
  read -r -t 60 <ready || { cat place.log; skip "no namespaces on this machine: $(tail -n 1 place.log)"; }
  there=(nsenter --target "$place" --mount --net --uts "--wd=$PWD" env -u SSL_CERT_FILE -u SSL_CERT_DIR -u DOCKER_CONFIG -u REGISTRY_AUTH_FILE "HOME=$PWD/home")
}

# site: a registry there with the sample bundle, which requires a login to read.
site() {
  place
  printf 'wonder land\n' >password
  "${there[@]}" oci-serve --htpasswd /etc/registry.users --passwd alice --password-file password >file
  [ "$("${there[@]}" stat -c '%U:%g %a' /etc/registry.users)" = 'root:4243 640' ]
  exec {records}< <(exec "${there[@]}" oci-serve --storage storage --tls auto --tls-name registry.site.example \
    --htpasswd /etc/registry.users --read auth --format '{{.url}}' 2>>serve.err 3>&-)
  servers+=($!)
  read -r -t 60 <&"$records" || { cat serve.err; return 1; }
  "${there[@]}" oci-push --to registry.site.example:5000 --ca storage/tls/ca.pem --username alice --password-file password \
    --quiet "$SAMPLE/bundle.tgz" >/dev/null
  example CLIENTS Trust 1
  tr -d '\r' <<<"$output" | grep -qxF "$(openssl x509 -noout -fingerprint -sha256 -in storage/tls/ca.pem)"
}

# example SECTION [SUBSECTION] N: runs the N-th example there, as typed on a
# terminal; if it asks for a password, with alice's.
example() {
  GUIDE=$ROOT/man/oci-serve.8 guide "${@: -2:1}" "${@: -1}" >example
  [ -s example ]
  run -0 "${there[@]}" script -qec 'bash -e example' /dev/null < <(
    for _ in {1..20}; do
      sleep 0.5
      printf 'wonder land\n'
    done
  )
}

# digest: the digest of the sample's busybox.
digest() { expected | awk '$1 == "busybox" { print $3 }'; }

@test "clients: each example has a test here" {
  same "$(printf '%s\n' '1 Trust' '1 docker' '1 podman and skopeo' '1 containerd' '1 Helm' '1 crane' '4 DELETING')" \
    "$(GUIDE=$ROOT/man/oci-serve.8 guided)"
}

@test "clients: the block for podman and skopeo works as printed" {
  need skopeo
  site
  run ! "${there[@]}" skopeo inspect docker://registry.site.example:5000/busybox:1.37.0
  example CLIENTS 'podman and skopeo' 1
  [ -s busybox/index.json ]
}

@test "clients: containerd pulls with the block as printed" {
  need containerd2.3 cri-pull
  site
  cat >containerd.toml <<T
version = 3
disabled_plugins = ["io.containerd.internal.v1.opt"]
root = "/run/containerd-root"
state = "/run/containerd"
[grpc]
  address = "/run/containerd.sock"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"
T
  "${there[@]}" containerd2.3 --config containerd.toml >containerd.log 2>&1 3>&- &
  servers+=($!)
  run ! "${there[@]}" cri-pull unix:///run/containerd.sock registry.site.example:5000/busybox:1.37.0
  example CLIENTS containerd 1
  run -0 "${there[@]}" cri-pull unix:///run/containerd.sock registry.site.example:5000/busybox:1.37.0
  [[ $output == *sha256:* ]]
}

@test "clients: the block for Helm works as printed" {
  need helm
  site
  run ! "${there[@]}" helm pull oci://registry.site.example:5000/charts/k0rdent-enterprise
  example CLIENTS Helm 1
  [ -s k0rdent-enterprise-1.2.3.tgz ]
}

@test "clients: the block for crane works as printed" {
  need crane
  site
  run ! "${there[@]}" crane digest registry.site.example:5000/busybox:1.37.0
  example CLIENTS crane 1
  tar -tf busybox.tar | grep -q manifest.json
}

# No docker daemon runs here. The library below skopeo reads docker's directory by
# the same rules.
@test "clients: docker's directory is the one of the block" {
  need skopeo
  site
  GUIDE=$ROOT/man/oci-serve.8 guide docker 1 >block
  grep -qx 'docker login registry.site.example:5000' block
  grep -qx 'docker pull registry.site.example:5000/busybox:1.37.0' block
  grep -v '^docker ' block >example
  inspect=(skopeo inspect --creds 'alice:wonder land' --format '{{.Digest}}' docker://registry.site.example:5000/busybox:1.37.0)
  run ! "${there[@]}" "${inspect[@]}"
  "${there[@]}" bash -e example
  [ "$("${there[@]}" "${inspect[@]}")" = "$(digest)" ]
}

@test "clients: deleting works as printed, with crane and with curl" {
  need crane
  site
  example CLIENTS crane 1
  # A tag with the manifest.
  { cat example; GUIDE=$ROOT/man/oci-serve.8 guide DELETING 1; } >both
  mv both block
  remove() { "${there[@]}" env "SSL_CERT_FILE=/etc/registry-ca.pem" bash -e "$1"; }
  has() { "${there[@]}" env "SSL_CERT_FILE=/etc/registry-ca.pem" crane digest "registry.site.example:5000/busybox$1"; }
  remove block
  run ! has ":1.37.0"
  run ! has "@$(digest)"
  # A tag alone, with each of the two.
  for n in 2 3; do
    "${there[@]}" oci-push --to registry.site.example:5000 --ca storage/tls/ca.pem --username alice --password-file password \
      --quiet "$SAMPLE/bundle.tgz" >/dev/null
    has ":1.37.0"
    if [ $n = 2 ]; then
      GUIDE=$ROOT/man/oci-serve.8 guide DELETING 2 >block
      remove block
    else
      example DELETING 3
      [[ $output == *"$(digest)"* ]]
    fi
    run ! has ":1.37.0"
    [ "$(has "@$(digest)")" = "$(digest)" ]
  done
}

@test "clients: --gc keeps what is younger than a day, and removes the rest" {
  local server
  serve
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  [ "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE "http://$registry/v2/busybox/manifests/$(digest)")" = 202 ]
  stop "$server"
  GUIDE=$ROOT/man/oci-serve.8 guide DELETING 4 >block
  grep -qx 'runuser -u oci-serve -- oci-serve --gc' block
  run -0 oci-serve --gc --storage storage
  [ "$(jq .counts.removed <<<"$output")" = 1 ] # the manifest, which was deleted
  run -0 oci-serve --scrub --storage storage
}
