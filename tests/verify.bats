#!/usr/bin/env bats
# bundle-verify before the other tools, and with signatures made by openssl: cosign's
# detached signature is the output of `openssl dgst -sign` in base64.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run

load lib/helper

# key NAME: an ECDSA key, NAME.pem and NAME.pub.
key() {
  need openssl
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.pem"
  openssl ec -in "$1.pem" -pubout -out "$1.pub" 2>/dev/null
}

# sign KEY FILE: writes FILE.sig.
sign() { openssl dgst -sha256 -sign "$1.pem" "$2" | base64 -w 0 >"$2.sig"; }

# signed: bundle.tgz, its signature and cosign.pub.
signed() {
  key cosign
  cp "$SAMPLE/bundle.tgz" .
  sign cosign bundle.tgz
}

# statuses COMMAND: runs a pipe in a shell of its own, its output to the file
# "out"; sets output to the status of each part.
statuses() { run --separate-stderr bash -c "$1 >out; echo \"\${PIPESTATUS[*]}\""; }

@test "verify: a good bundle passes the whole pipe, its record first" {
  signed
  serve
  bundle-verify --key cosign.pub bundle.tgz | bundle-version | bundle-ls | oci-push --to "$registry" --quiet >out
  same "$(expected)" "$(published)"
  [ "$(head -n 1 out | jq -r '"\(.kind) \(.signature) \(.path) \(.digest) \(.key)"')" = \
    "bundle good $PWD/bundle.tgz sha256:$(sha256sum <bundle.tgz | cut -d' ' -f1) sha256:$(openssl pkey -pubin -in cosign.pub -outform der | sha256sum | cut -d' ' -f1)" ]
  [ "$(jq -r 'select(.kind == "version").version' out)" = 1.2.3 ]
}

@test "verify: a bad signature stops every later tool, and nothing is published" {
  local damage
  signed
  key stranger
  serve
  for damage in 'printf x >>bundle.tgz' 'truncate -s -1 bundle.tgz' 'mv stranger.pub cosign.pub'; do
    cp "$SAMPLE/bundle.tgz" .
    eval "$damage"
    statuses "bundle-verify --key cosign.pub bundle.tgz | bundle-version | bundle-ls | tee record | oci-push --to $registry"
    [ "$output" = '1 1 1 0 1' ]
    [ "$(jq -r '"\(.kind) \(.signature)"' record)" = 'bundle bad' ]
    [[ $stderr == *'bundle-verify: '*'bad signature'* ]]
    same '' "$(published)"
  done
}

@test "verify: a failed verification stops them as well" {
  signed
  serve
  rm bundle.tgz.sig
  statuses "bundle-verify --key cosign.pub bundle.tgz | bundle-version | bundle-ls | oci-push --to $registry"
  [ "$output" = '1 1 1 1' ]
  [ "$(jq -r '"\(.kind) \(.signature)"' out)" = 'bundle unknown' ]
  same '' "$(published)"
  sign cosign bundle.tgz
  statuses "bundle-verify --digest sha256:$(printf '%064d' 0) bundle.tgz | bundle-ls"
  [ "$output" = '1 1' ]
  [ "$(jq -r .signature out)" = bad ]
}

@test "verify: any file, on stdin too" {
  key cosign
  echo 'kind: Release' >release.yaml
  sign cosign release.yaml
  run -0 bundle-verify --quiet --key cosign.pub --format '{{.signature}}' release.yaml
  [ "$output" = good ]
  # shellcheck disable=SC2002 # a pipe is what is tried
  [ "$(cat release.yaml | bundle-verify --quiet --key cosign.pub --signature release.yaml.sig --format '{{.path}} {{.signature}}' -)" = '- good' ]
  run -1 --separate-stderr bundle-verify --key cosign.pub - <release.yaml
  explained bundle-verify
  [[ $stderr == *hint:* ]]
  run -1 --separate-stderr bundle-verify --key cosign.pub "$SAMPLE/bundle"
  explained bundle-verify
  [[ $stderr == *directory*hint:* ]]
}

@test "verify: the site's key from its variable" {
  signed
  key other
  K0RDENT_COSIGN_KEY=cosign.pub run -0 --separate-stderr bundle-verify bundle.tgz
  BUNDLE_VERIFY_KEY=cosign.pub K0RDENT_COSIGN_KEY=other.pub run -0 --separate-stderr bundle-verify bundle.tgz
  K0RDENT_COSIGN_KEY=other.pub run -0 --separate-stderr bundle-verify --key cosign.pub bundle.tgz
  run -2 --separate-stderr bundle-verify bundle.tgz
  explained bundle-verify
}

@test "verify: keys and signatures of openssl, of every type" {
  local kind
  need openssl
  cp "$SAMPLE/bundle.tgz" .
  for kind in 'EC -pkeyopt ec_paramgen_curve:P-256' 'EC -pkeyopt ec_paramgen_curve:P-384' 'EC -pkeyopt ec_paramgen_curve:P-521' \
    'RSA -pkeyopt rsa_keygen_bits:2048' 'RSA -pkeyopt rsa_keygen_bits:3072' ED25519; do
    # shellcheck disable=SC2086 # a kind and its options
    openssl genpkey -algorithm $kind -out key.pem 2>/dev/null
    openssl pkey -in key.pem -pubout -out key.pub
    case $kind in
    ED*) openssl pkeyutl -sign -inkey key.pem -rawin -in bundle.tgz -out bundle.tgz.sig ;;
    *) openssl dgst -sha256 -sign key.pem -out bundle.tgz.sig bundle.tgz ;;
    esac
    bundle-verify --quiet --key key.pub bundle.tgz
    [ "$(bundle-verify --key key.pub --format '{{.signature}}' --signature bundle.tgz.sig "$SAMPLE/bundle.tar" 2>/dev/null)" = bad ]
  done
}

@test "verify: an interrupt while it waits for bytes" {
  local status=0
  mkfifo bytes
  bundle-verify --digest "sha256:$(printf '%064d' 0)" - <bytes >out 2>err 3>&- &
  exec 5>bytes
  head -c 1000000 /dev/zero >&5 # more than a pipe holds, so the tool is at work
  kill -TERM $!
  wait $! || status=$?
  exec 5>&-
  [ "$status" = 130 ]
  [ ! -s out ]
}
