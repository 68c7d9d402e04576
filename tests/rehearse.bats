#!/usr/bin/env bats
# k0rdent-install --rehearse against an oci-serve that has the sample's release,
# whose templates are like those of kcm up to 1.10, and k0s.
# shellcheck disable=SC2030,SC2031,SC2154 # registry and server are set by serve, output and stderr by run

load lib/helper

# rehearse STATUS [FLAG…]: rehearses, for the cells of one template in cells.
rehearse() {
  local status=$1
  shift
  run "-$status" --separate-stderr k0rdent-install --registry "${registry/localhost/127.0.0.1}" --rehearse "$@" </dev/null
  jq -r 'select(.kind == "finding" and (.subject | startswith("aws-standalone-cp-"))) | .subject[("aws-standalone-cp-1-0-16 " | length):] + " " + .status' \
    <<<"$output" | sort | xargs >cells
  cat cells
}

# ship: pushes the sample, and puts k0s where machines download it.
ship() {
  bundle-ls "$SAMPLE/bundle.tgz" | oci-push --to "$registry" "$@" >/dev/null
  mkdir -p storage/k0s
  echo k0s >storage/k0s/k0s-v1.32.8+k0s.0-amd64
}

@test "k0rdent-install: a rehearsal finds which cells of a site with its own authority fail, and why" {
  need jq
  serve --tls auto --access-log json
  ca=storage/tls/ca.pem
  ship --ca "$ca"
  : >serve.err
  rehearse 1 --ca "$ca"
  [ "$(<cells)" = 'debian http failed debian login ok debian own-ca ok debian public-ca ok rhel http failed rhel login ok rhel own-ca failed rhel public-ca ok' ]
  [[ $stderr == *'machines run update-ca-certificates, which the RHEL family does not have'*'hint: use machines of the other family'* ]]
  [[ $stderr != *'is not in the registry'* ]]
  [ "$(jq -r '.method // empty' serve.err | sort -u | xargs)" = 'GET HEAD' ]
  # Without k0s, every machine fails.
  rm storage/k0s/*
  rehearse 1 --ca "$ca"
  [[ $(<cells) != *ok* ]]
  [[ $output == *'has no k0s-v1.32.8+k0s.0-amd64'* ]]
  # On a terminal, or if asked for, it is a table.
  run -1 --separate-stderr k0rdent-install --registry "${registry/localhost/127.0.0.1}" --ca "$ca" --rehearse --format table </dev/null
  [[ ${lines[0]} =~ ^SUBJECT\ +STATUS\ +NOTE ]]
}

# chart NAME VERSION [ANNOTATIONS]: packs a directory of templates and pushes it.
chart() {
  printf '%s\n' 'apiVersion: v2' "name: $1" "version: $2" "annotations: {${3-}}" >"$1/Chart.yaml"
  helm package "$1" >/dev/null
  helm push --ca-file storage/tls/ca.pem "$1-$2.tgz" "oci://${registry/localhost/127.0.0.1}/charts" >/dev/null 2>&1
}

# newer: replaces one template of the release by one like those of kcm 1.11, with the
# k0s, charts and images that it names, and the other one by that of a cloud's cluster.
newer() {
  local image
  cp -r "$ROOT/cmd/k0rdent-install/chart/testdata/charts/standalone-1.11" aws-standalone-cp
  mkdir -p aws-hosted-cp/templates aws-cloud-controller-manager
  printf '%s\n' 'apiVersion: infrastructure.cluster.x-k8s.io/v1beta1' 'kind: AzureASOManagedControlPlane' 'metadata: {name: x}' >aws-hosted-cp/templates/x.yaml
  chart aws-standalone-cp 1.0.16 'cluster.x-k8s.io/provider: infrastructure-azure'
  chart aws-hosted-cp 1.0.17
  chart aws-cloud-controller-manager 0.0.11
  for image in k0sproject/kube-proxy:v1.36.3 provider-aws/cloud-controller-manager:v1.36.0; do
    SSL_CERT_FILE=storage/tls/ca.pem crane copy "${registry/localhost/127.0.0.1}/k0sproject/kube-proxy:v1.32.8" "${registry/localhost/127.0.0.1}/$image" >/dev/null 2>&1
  done
  echo k0s >storage/k0s/k0s-v1.36.3+k0s.2-amd64
}

@test "k0rdent-install: a rehearsal of a release like kcm 1.11 finds what a login does, and what a cloud hides" {
  local want='debian http failed debian login failed debian own-ca ok debian public-ca ok rhel http failed rhel login failed rhel own-ca ok rhel public-ca ok'
  need jq helm crane
  serve --tls auto
  ca=storage/tls/ca.pem
  ship --ca "$ca"
  newer
  rehearse 0 --ca "$ca"
  [ "$(<cells)" = "$want" ]
  # Nothing shows what Azure's machines do, so those cells are unknown.
  [ "$(jq -r 'select(.subject // "" | startswith("aws-hosted-cp-")) | .status' <<<"$output" | sort | uniq -c | xargs)" = '8 unknown' ]
  jq -es 'map(select(.subject == "aws-hosted-cp-1-0-17 rhel own-ca"))[0] | (.detail | contains("AzureASOManagedControlPlane")) and (.remedy | contains("create one cluster"))' <<<"$output"
  # At a site with a login, those cells are its own.
  stop "$server"
  # shellcheck disable=SC2016 # a hash, not variables
  echo 'alice:$2y$05$kxH0jQ7XtkyhWxZpxU/0.OOWdP6pNrteF.wRfJnjeprEcvTT3DVXi' >users
  echo 'wonder land' >password
  chmod 600 users password
  serve --tls auto --htpasswd users
  rehearse 1 --ca "$ca" --username alice --password-file password
  [ "$(<cells)" = "$want" ]
  [[ $stderr == *'registry-auth.toml: k0s v1.36.3+k0s.2 does not start with it: it has a table of containerd 1'*'hint: allow anyone to read ("oci-serve --read any")'* ]]
}

@test "k0rdent-install: a rehearsal fails a site whose registry speaks plain HTTP" {
  need jq
  serve
  ship
  rehearse 1 --plain-http
  [[ $stderr == *'uses HTTPS for the registry'*'hint: serve the registry over TLS: oci-serve --tls auto'* ]]
}

# values [FLAG…]: prints the values for the site, and sets url to where machines of
# child clusters find k0s.
values() {
  run -0 --separate-stderr k0rdent-install --registry "${registry/localhost/127.0.0.1}" --ca storage/tls/ca.pem --print-values "$@" </dev/null
  url=$(sed -n 's/^ *globalK0sURL: //p' <<<"$output")
}

@test "k0rdent-install: machines that would not trust the site's authority download k0s over plain HTTP" {
  local url tls
  need jq
  serve --tls auto
  ship --ca storage/tls/ca.pem
  tls=https://${registry/localhost/127.0.0.1}/k0s
  values
  [ "$url" = "$tls" ]
  [[ $stderr == *'RHEL family does not trust '"$tls"*'update-ca-certificates'*'hint: serve k0s over plain HTTP as well (oci-serve --files-http '* ]]
  stop "$server"
  serve --tls auto --files-http 127.0.0.1:0 --format '{{.files}} {{.address}}'
  tls=https://${registry/localhost/127.0.0.1}/k0s
  values
  [ "$url" = "${served% *}/k0s" ]
  [[ $stderr == *"will download it from $url, unencrypted"*"hint: set --k0s-url $tls to keep using TLS"* ]]
  [[ $output != *k0sURLCertSecret* && $output == *'registryCertSecret: k0rdent-registry-ca'* ]]
  curl -sSf "$url/k0s-v1.32.8%2Bk0s.0-amd64" | cmp - storage/k0s/k0s-v1.32.8+k0s.0-amd64
  # It is a finding of the preflight, and what a rehearsal rehearses.
  run --separate-stderr k0rdent-install --registry "${registry/localhost/127.0.0.1}" --ca storage/tls/ca.pem --ignore loopback,disk --plan </dev/null
  jq -es --arg url "$url" 'map(select(.kind == "finding" and .check == "k0s-url")) | length == 1 and (.[0] | .status == "warning" and (.detail | contains($url)))' <<<"$output"
  rehearse 1 --ca storage/tls/ca.pem
  [[ $output != *'curl on the machines does not trust'* ]]
  # An operator's own choice stands.
  values --k0s-url "$tls"
  [ "$url" = "$tls" ]
  values --set "controller.globalK0sURL=$tls"
  [ "$url" = "$tls" ]
}
