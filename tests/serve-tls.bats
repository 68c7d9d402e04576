#!/usr/bin/env bats
# The certificates that oci-serve makes or is given, with other programs.
# shellcheck disable=SC2154 # registry and server are set by serve, output and stderr by run

load lib/helper

@test "oci-serve: openssl verifies the chain, even after a restart" {
  local round name # run sets i
  need openssl
  for round in first second; do
    serve --tls auto --tls-name registry.example,192.0.2.9
    for name in localhost registry.example "$(hostname)"; do
      run -0 openssl s_client -connect "127.0.0.1:${registry##*:}" -CAfile storage/tls/ca.pem \
        -verify_return_error -verify_hostname "$name" </dev/null
    done
    run -0 openssl s_client -connect "127.0.0.1:${registry##*:}" -CAfile storage/tls/ca.pem \
      -verify_return_error -verify_ip 192.0.2.9 </dev/null
    [ $round = second ] || cp storage/tls/ca.pem storage/tls/server.pem .
    stop "$server"
  done
  cmp ca.pem storage/tls/ca.pem
  cmp server.pem storage/tls/server.pem
  openssl verify -x509_strict -purpose sslserver -CAfile ca.pem server.pem
  [ "$(stat -c %a storage/tls/ca.key)" = 600 ]
  # An additional name results in a new certificate of the old authority.
  serve --tls auto --tls-name new.example
  cmp ca.pem storage/tls/ca.pem
  openssl verify -CAfile ca.pem -verify_hostname new.example storage/tls/server.pem
}

@test "oci-serve: its record names the CA, which is all that curl needs" {
  need curl jq
  exec {records}< <(exec oci-serve --host 127.0.0.1 --port 0 --storage storage --tls auto 3>&-)
  servers+=($!)
  IFS= read -r -t 60 record <&"$records"
  [ "$(curl -s --cacert "$(jq -r .ca <<<"$record")" "$(jq -r .url <<<"$record")/healthz")" = ok ]
  run ! curl -s "$(jq -r .url <<<"$record")/healthz"
}

@test "oci-serve: TLS 1.1 is refused" {
  need openssl
  serve --tls auto
  run ! openssl s_client -tls1_1 -cipher 'ALL:@SECLEVEL=0' -connect "127.0.0.1:${registry##*:}" </dev/null
  run -0 openssl s_client -tls1_2 -connect "127.0.0.1:${registry##*:}" </dev/null
}

@test "oci-serve: the log explains clients that do not trust the registry" {
  need curl skopeo
  serve --tls auto
  for _ in {1..5}; do run ! curl -s --tls-max 1.2 "https://$registry/v2/"; done
  becomes "127.0.0.1 does not trust this registry's CA; give it /ca.pem, see CLIENTS in oci-serve(8)" cat serve.err
  run ! curl -s "https://$registry/v2/"
  run ! skopeo inspect "docker://$registry/a:b"
  becomes "127.0.0.1 rejects this registry's certificate: it does not trust the CA (give it /ca.pem" cat serve.err
  [ "$(wc -l <serve.err)" = 2 ]
  stop "$server"
  grep -q "does not trust this registry's CA; .*; 4 more since$" serve.err
  grep -q "rejects this registry's certificate: .*; [1-9] more since$" serve.err
  # The old protocol, and no protocol at all.
  serve --tls auto
  run ! openssl s_client -tls1_1 -cipher 'ALL:@SECLEVEL=0' -connect "127.0.0.1:${registry##*:}" </dev/null
  becomes '127.0.0.1 supports neither TLS 1.2' cat serve.err
  echo EHLO registry.example is here >"/dev/tcp/127.0.0.1/${registry##*:}"
  becomes '127.0.0.1 sent something that is neither TLS nor HTTP' cat serve.err
}

# pair NAME: a certificate of its own for localhost, NAME as its subject.
pair() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
    -addext subjectAltName=DNS:localhost -keyout "$1.key" -out "$1.pem" 2>/dev/null
}

# subject: the subject of the server's certificate.
subject() {
  openssl s_client -connect "127.0.0.1:${registry##*:}" </dev/null 2>/dev/null | openssl x509 -noout -subject
}

# becomes TEXT COMMAND…: waits until the command prints the text.
becomes() {
  local want=$1
  shift
  for _ in {1..50}; do
    [[ $("$@") != *"$want"* ]] || return 0
    sleep 0.1
  done
  echo "not $want: $("$@")"
  return 1
}

@test "oci-serve: a replaced certificate is served within two seconds, a broken one is not" {
  need openssl
  pair first
  pair second
  cp first.pem cert.pem
  cp first.key key.pem
  serve --tls-cert cert.pem --tls-key key.pem
  [[ $(subject) == *first ]]
  echo broken >cert.pem
  becomes 'keeping the old certificate' eval 'subject >/dev/null; cat serve.err'
  [[ $(subject) == *first ]]
  cp second.key key.pem
  cp second.pem cert.pem
  becomes second subject
}
