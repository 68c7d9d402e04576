#!/usr/bin/env bats
# Who may read and write, with other clients.
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # registry and server are set by serve, output and stderr by run

load lib/helper

# users: a file with the user alice, password "wonder land".
users() {
  # shellcheck disable=SC2016 # a hash, not variables
  echo 'alice:$2y$05$kxH0jQ7XtkyhWxZpxU/0.OOWdP6pNrteF.wRfJnjeprEcvTT3DVXi' >users
  chmod 600 users
}

# secure [FLAG…]: starts oci-serve with TLS and the user. Sets ca, and certs for skopeo.
secure() {
  users
  serve --tls auto --htpasswd users "$@"
  ca=$PWD/storage/tls/ca.pem
  mkdir -p certs
  cp "$ca" certs/ca.crt
  export DOCKER_CONFIG=$PWD/docker HOME=$PWD
}

# status [CURL FLAG…]: the HTTP status of a request to $registry over TLS.
status() { curl -s --cacert "$ca" -o body -w '%{http_code}' "$@"; }

@test "oci-serve: curl with right, wrong and no credentials" {
  need curl
  secure
  [ "$(status "https://$registry/v2/")" = 401 ]
  [ "$(status -u alice:wrong "https://$registry/v2/")" = 401 ]
  [ "$(status -u 'alice:wonder land' "https://$registry/v2/")" = 200 ]
  [ "$(status "https://$registry/v2/_catalog")" = 200 ]
  [ "$(status -X POST "https://$registry/v2/a/blobs/uploads/")" = 401 ]
  grep -q '"UNAUTHORIZED"' body
  [ "$(status -X POST -u 'alice:wonder land' "https://$registry/v2/a/blobs/uploads/")" = 202 ]
  [ "$(status "https://$registry/metrics")" = 200 ]
  grep -q '^oci_serve_auth_failures_total 1$' body
  grep -q '^oci_serve_certificate_expiry_seconds [0-9]' body
  grep -qx 'oci-serve: 127.0.0.1: wrong user name or password for alice' serve.err
  stop "$server"
  secure --read auth
  [ "$(status "https://$registry/v2/_catalog")" = 401 ]
  [ "$(status "https://$registry/metrics")" = 401 ]
  [ "$(status "https://$registry/healthz")" = 200 ]
  [ "$(status -u 'alice:wonder land' "https://$registry/v2/_catalog")" = 200 ]
}

@test "oci-serve: password guessing is throttled, and a request without TLS gets an explanation" {
  local i
  need curl
  secure
  for i in {1..10}; do [ "$(status -u "alice:$i" "https://$registry/v2/")" = 401 ]; done
  [ "$(status -D headers -u alice:11 "https://$registry/v2/")" = 429 ]
  grep -qi '^retry-after: [1-9]' headers
  # The log has a line of each kind, and counts the others at the end.
  [ "$(status -u alice:12 "https://$registry/v2/")" = 429 ]
  [ "$(grep -c ' for alice' serve.err)" = 2 ]
  [ "$(status "https://$registry/v2/_catalog")" = 200 ]
  run -0 curl -s "http://$registry/v2/"
  [[ $output == *'HTTP request to an HTTPS server'* ]]
  grep -q '^oci-serve: 127.0.0.1 sent plain HTTP to this HTTPS port; use https://' serve.err
  stop "$server"
  grep -qx 'oci-serve: 127.0.0.1: wrong user name or password for alice; 9 more since' serve.err
  grep -qx 'oci-serve: 127.0.0.1: login refused for now, after too many attempts, for alice; 1 more since' serve.err
}

@test "oci-serve: skopeo with right, wrong and no credentials" {
  need skopeo
  secure
  local copy=(skopeo --insecure-policy copy -q --all)
  local from=oci-archive:$SAMPLE/bundle/busybox_1.37.0.tar
  run ! "${copy[@]}" --dest-cert-dir certs "$from" "docker://$registry/a:1"
  [[ $output == *unauthorized* ]]
  run ! "${copy[@]}" --dest-cert-dir certs --dest-creds alice:wrong "$from" "docker://$registry/a:1"
  run ! skopeo login --authfile auth.json --cert-dir certs -u alice -p wrong "$registry"
  skopeo login --authfile auth.json --cert-dir certs -u alice -p 'wonder land' "$registry"
  "${copy[@]}" --authfile auth.json --dest-cert-dir certs "$from" "docker://$registry/a:1"
  "${copy[@]}" --src-cert-dir certs --src-no-creds "docker://$registry/a:1" dir:out
  stop "$server"
  secure --read auth
  run ! "${copy[@]}" --src-cert-dir certs --src-no-creds "docker://$registry/a:1" dir:out2
  "${copy[@]}" --src-cert-dir certs --src-creds 'alice:wonder land' "docker://$registry/a:1" dir:out3
}

@test "oci-serve: crane with right, wrong and no credentials" {
  need crane
  secure
  export SSL_CERT_FILE=$ca
  mkdir layout
  tar -xf "$SAMPLE/bundle/busybox_1.37.0.tar" -C layout
  run ! crane push --index layout "$registry/a:1"
  [[ $output == *UNAUTHORIZED* ]]
  crane auth login "$registry" -u alice -p wrong
  run ! crane push --index layout "$registry/a:1"
  run ! crane digest "$registry/a:1"
  crane auth login "$registry" -u alice -p 'wonder land'
  crane push --index layout "$registry/a:1"
  crane auth logout "$registry"
  crane digest "$registry/a:1"
  crane validate --remote "$registry/a:1"
}

@test "oci-serve: Helm pulls a chart over TLS with right, wrong and no credentials" {
  local chart digest
  need crane helm-pull openssl
  secure
  echo 'wonder land' >password
  echo wrong >wrong
  oci-push --to "$registry" --ca "$ca" --username alice --password-file password --quiet "$SAMPLE/bundle.tgz" >/dev/null
  digest=$(expected | awk '$1 == "charts/k0rdent-enterprise" { print $3 }')
  chart=$registry/charts/k0rdent-enterprise:1.2.3
  [[ $(helm-pull --ca "$ca" "$chart") == "$digest k0rdent-enterprise 1.2.3 "* ]]
  stop "$server"
  secure --read auth
  chart=$registry/charts/k0rdent-enterprise:1.2.3
  run ! helm-pull --ca "$ca" "$chart"
  [[ $output == *401* || $output == *credential* ]]
  run ! helm-pull --ca "$ca" --username alice --password-file wrong "$chart"
  [[ $(helm-pull --ca "$ca" --username alice --password-file password "$chart") == "$digest k0rdent-enterprise 1.2.3 "* ]]
  # What docker login has written is used as well.
  crane auth login "$registry" -u alice -p 'wonder land'
  [[ $(helm-pull --ca "$ca" "$chart") == "$digest k0rdent-enterprise 1.2.3 "* ]]
  # Helm does not trust an unknown authority.
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj '/CN=other CA' -keyout other.key -out other.pem 2>/dev/null
  run ! helm-pull --ca other.pem "$chart"
  [[ $output == *certificate* ]]
}

@test "oci-serve: oci-push over TLS with and without credentials" {
  need crane
  secure
  export SSL_CERT_FILE=$ca
  run ! --separate-stderr oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz"
  [ "$(curl -s --cacert "$ca" "https://$registry/v2/_catalog")" = '{"repositories":[]}' ]
  crane auth login "$registry" -u alice -p 'wonder land'
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  stop "$server"
  same "$(expected)" "$(audit storage)"
}

# neighbour: makes a network namespace with a link to this one, as another host. Sets
# there, the prefix of commands that run in it, and address, ours.
neighbour() {
  net=oci-serve-$$
  { ip netns add "$net" && ip link add "ocis$$" type veth peer name peer netns "$net"; } 2>err || {
    ip netns del "$net" 2>/dev/null || true
    skip "no network namespaces on this machine"
  }
  address=198.51.100.1
  ip addr add $address/30 dev "ocis$$"
  ip link set "ocis$$" up
  ip -n "$net" addr add 198.51.100.2/30 dev peer
  ip -n "$net" link set peer up
  there=(ip netns exec "$net")
}

eval "usual_$(declare -f teardown)"
teardown() {
  ip link del "ocis$$" 2>/dev/null || true
  ip netns del "oci-serve-$$" 2>/dev/null || true
  usual_teardown
  rm -rf -- ${theirs:+"$theirs"}
}

@test "oci-serve: another host can read and cannot write by default" {
  local url blob
  need curl ip
  neighbour
  serve --host 0.0.0.0 --tls auto
  url=https://$address:${registry##*:}
  blob=sha256:$(printf hello | sha256sum | cut -d' ' -f1)
  ca=$PWD/storage/tls/ca.pem
  [ "$(status -X POST --data-binary hello "https://$registry/v2/a/blobs/uploads/?digest=$blob")" = 201 ]
  run -0 "${there[@]}" curl -s --cacert "$ca" "$url/v2/a/blobs/$blob"
  [ "$output" = hello ]
  run -0 "${there[@]}" curl -s --cacert "$ca" -w ' %{http_code}' -X POST "$url/v2/a/blobs/uploads/"
  [[ $output == *DENIED*' 403' ]]
  run -0 "${there[@]}" curl -s --cacert "$ca" -w '%{http_code}' -X DELETE "$url/v2/a/blobs/$blob"
  [[ $output == *403 ]]
  # On this host, root may use that address as well.
  [ "$(status -X POST "$url/v2/a/blobs/uploads/")" = 202 ]
}

@test "oci-serve: another user of the host cannot write by default" {
  local url
  need curl setpriv
  [ "$(id -u)" = 0 ] || skip 'only root can be another user'
  nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups curl -sk "$@"; }
  serve --tls auto
  url=https://$registry/v2/a/blobs/uploads/
  run -0 nobody -w ' %{http_code}' -X POST "$url"
  [[ $output == *'only root may push'*'this is '*' 403' ]]
  [ "$(nobody -o /dev/null -w '%{http_code}' "https://$registry/v2/")" = 200 ]
  # If the registry runs as that user, root and the user may write.
  theirs=$(mktemp -d /tmp/oci-serve.XXXXXX) # the test's own directories are not open to them
  chown 65534:65534 "$theirs"
  exec {records}< <(exec setpriv --reuid=65534 --regid=65534 --clear-groups "$(command -v oci-serve)" \
    --host 127.0.0.1 --port 0 --storage "$theirs" --format '{{.url}}' 2>>serve.err 3>&-)
  servers+=("$!")
  IFS= read -r -t 60 url <&"$records"
  [ "$(nobody -o /dev/null -w '%{http_code}' -X POST "$url/v2/a/blobs/uploads/")" = 202 ]
  [ "$(curl -s -o /dev/null -w '%{http_code}' -X POST "$url/v2/a/blobs/uploads/")" = 202 ]
  run -0 setpriv --reuid=65533 --regid=65533 --clear-groups curl -s -w ' %{http_code}' -X POST "$url/v2/a/blobs/uploads/"
  [[ $output == *'only root and the user '*'this is 65533'*' 403' ]]
  # --write loopback lets all of them write.
  serve --storage trusting --write loopback --tls auto
  [ "$(nobody -o /dev/null -w '%{http_code}' -X POST "https://$registry/v2/a/blobs/uploads/")" = 202 ]
}

@test "oci-serve: a web page cannot make a browser write" {
  local url page
  need curl
  serve
  url=http://$registry/v2/a/blobs/uploads/
  code() { curl -s -o /dev/null -w '%{http_code}' -X POST "$@" "$url"; }
  [ "$(code)" = 202 ]
  for page in 'Origin: https://evil.example' 'Origin: null' 'Sec-Fetch-Site: cross-site' 'Host: evil.example'; do
    [ "$(code -H "$page")" = 403 ]
  done
  # With a certificate, its names are the registry's.
  serve --storage named --tls auto --tls-name registry.site
  url=https://$registry/v2/a/blobs/uploads/
  [ "$(code -k -H 'Host: registry.site:5000')" = 202 ]
  [ "$(code -k -H 'Host: evil.example')" = 403 ]
}
