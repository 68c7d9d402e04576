#!/usr/bin/env bats
# The k0s binaries that oci-serve serves, fetched with curl.
# shellcheck disable=SC2154 # registry and server are set by serve, output and stderr by run

load lib/helper

name=k0s-v1.32.8+k0s.0-amd64

# binary: 40 MB in place of k0s, in the storage, and its signature.
binary() {
  need curl
  mkdir -p storage/k0s
  head -c 40000000 /dev/urandom >"storage/k0s/$name"
  echo signature >"storage/k0s/$name.sig"
}

@test "oci-serve: curl fetches k0s under each of its names: whole, in ranges, and headers only" {
  local path
  binary
  serve --access-log json
  for path in "k0s/$name" "k0s/${name/+/%2B}" "k0s/${name/+/-}" "k0rdent-enterprise/$name" "k0rdent-enterprise/${name/+/-}"; do
    rm -f k0s
    curl -sSLf "http://$registry/$path" -o k0s
    cmp k0s "storage/k0s/$name"
  done
  [ "$(curl -sSf "http://$registry/k0s/${name/+/-}.sig")" = signature ]
  # An interrupted download resumes.
  truncate -s 12345678 k0s
  curl -sSf -C - "http://$registry/k0s/$name" -o k0s
  cmp k0s "storage/k0s/$name"
  curl -sSfI "http://$registry/k0s/$name" >headers
  grep -qi '^content-length: 40000000' headers && grep -qi '^accept-ranges: bytes' headers
  [ "$(curl -sSf "http://$registry/k0s/" | xargs)" = "$name $name.sig" ]
  # A new file is served at once.
  echo newer >"storage/k0s/k0s-v1.36.3-k0s.0-arm64"
  [ "$(curl -sSf "http://$registry/k0s/k0s-v1.36.3+k0s.0-arm64")" = newer ]
  # All of it is in the access log and in the metrics.
  jq -e -s 'map(select(.status == 206 and .bytes == 40000000 - 12345678 and (.path | endswith("amd64")))) | length == 1' serve.err
  curl -sSf "http://$registry/metrics" | grep -q '^oci_serve_requests_total{kind="file",status="200"} [1-9]'
}

@test "oci-serve: no path below /k0s leads to another file" {
  local path
  binary
  echo hidden >storage/k0s/hidden
  echo hidden >hidden
  ln -s "$PWD/hidden" storage/k0s/k0s-v1.0.0+k0s.0-amd64
  serve
  for path in k0s/hidden k0s/../lock k0s/..%2flock k0s/%2e%2e/lock 'k0s/..%5clock' k0s//etc/passwd k0s/%2fetc%2fpasswd \
    k0s/k0s-v1.0.0+k0s.0-amd64 k0rdent-enterprise/../tls/ca.key "k0s/x/../$name" "k0s/$name/" "k0s/${name/+/%252B}" "k0s/$name%00"; do
    run -0 curl -s --path-as-is -w ' %{http_code}' "http://$registry/$path"
    echo "$path: $output"
    [[ $output =~ ' '[45]0[04]$ && $output != *hidden' '* && $output != *root:* ]]
  done
  # The log names the link's target for the administrator.
  grep -q "k0s-v1.0.0+k0s.0-amd64: path escapes" serve.err
  run -22 curl -sSf -X PUT --data-binary x "http://$registry/k0s/$name"
}

@test "oci-serve: clients that may pull can read k0s" {
  binary
  # shellcheck disable=SC2016 # a hash, not variables
  echo 'alice:$2y$05$kxH0jQ7XtkyhWxZpxU/0.OOWdP6pNrteF.wRfJnjeprEcvTT3DVXi' >users
  chmod 600 users
  serve --tls auto --htpasswd users --read auth
  run -22 curl -sSf --cacert storage/tls/ca.pem "https://$registry/k0s/$name"
  run -22 curl -sSf --cacert storage/tls/ca.pem "https://$registry/k0s/"
  curl -sSf --cacert storage/tls/ca.pem -u 'alice:wonder land' "https://$registry/k0s/$name" | cmp - "storage/k0s/$name"
}

@test "oci-serve: --k0s-dir names another directory" {
  binary
  mv storage/k0s elsewhere
  serve --k0s-dir elsewhere
  curl -sSf "http://$registry/k0s/$name" | cmp - "elsewhere/$name"
}
