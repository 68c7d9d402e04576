#!/usr/bin/env bash
# Makes the vectors of this directory anew, with new keys: README.md says what
# they are. Needs openssl, and cosign in both versions:
#
#   GOBIN=$PWD/v2 go install github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
#   GOBIN=$PWD/v3 go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
#   make.sh v2/cosign v3/cosign
#
# No network is used, and no private key is kept.
set -euo pipefail
v2=$(realpath "$1") v3=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export COSIGN_PASSWORD=''
quietly() { "$@" >log 2>&1 </dev/null || { echo "$*" >&2; cat log >&2; exit 1; }; }

# The files: a bundle, and three that somebody might have in its place.
mkdir charts
echo 'an archive' >charts/k0rdent-enterprise_1.2.3.tar
tar --sort=name --owner=0 --group=0 --mtime=@0 -cf - charts | gzip -n9 >bundle.tgz
echo 'another archive' >charts/k0rdent-enterprise_1.2.3.tar
tar --sort=name --owner=0 --group=0 --mtime=@0 -cf - charts | gzip -n9 >other.tgz
size=$(stat -c %s bundle.tgz)
head -c $((size - 1)) bundle.tgz >truncated.tgz
{
  cat truncated.tgz
  tail -c 1 bundle.tgz | perl -0777 -pe '$_ ^= "\x01"'
} >flipped.tgz
: >empty

# The keys: cosign's own is ECDSA P-256, the others come from openssl.
quietly "$v3" generate-key-pair --output-key-prefix p256
quietly "$v3" generate-key-pair --output-key-prefix stranger
openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-384 -out p384.pem
openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-521 -out p521.pem
openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out rsa2048.pem 2>log
openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:4096 -out rsa4096.pem 2>log
openssl genpkey -algorithm ed25519 -out ed25519.pem
for key in p384 p521 rsa2048 rsa4096 ed25519; do
  quietly "$v3" import-key-pair --yes --key $key.pem --output-key-prefix $key
done
openssl req -x509 -new -key p384.pem -subj '/O=A vendor/CN=signer' \
  -addext subjectAltName=email:release@vendor.example -days 1 -out p384.crt

# What has no place in --key.
openssl rsa -in rsa2048.pem -RSAPublicKey_out -out rsa2048-pkcs1.pub 2>log
openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:1024 2>log | openssl pkey -pubout -out rsa1024.pub
openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-224 | openssl pkey -pubout -out p224.pub
openssl genpkey -algorithm x25519 | openssl pkey -pubout -out x25519.pub
printf -- '-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nbm90IGEga2V5\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n' >private.key

v3flags=(--use-signing-config=false --tlog-upload=false --yes)
mkdir -p v2 v3
for key in p256 p384 p521 rsa2048 rsa4096 ed25519; do
  quietly "$v3" sign-blob --key $key.key "${v3flags[@]}" --bundle v3/$key.sigstore.json bundle.tgz
  quietly "$v3" sign-blob --key $key.key "${v3flags[@]}" --new-bundle-format=false \
    --output-signature v3/$key.sig --bundle v3/$key.bundle bundle.tgz
  [ $key != ed25519 ] || continue # cosign 2.6.5 crashes on it without a transparency log
  quietly "$v2" sign-blob --key $key.key --tlog-upload=false --yes --new-bundle-format --bundle v2/$key.sigstore.json bundle.tgz
  quietly "$v2" sign-blob --key $key.key --tlog-upload=false --yes --output-signature v2/$key.sig --bundle v2/$key.bundle bundle.tgz
done
quietly "$v3" sign-blob --key p384.key --certificate p384.crt "${v3flags[@]}" --bundle v3/certificate.sigstore.json bundle.tgz

# Signatures of another file, of the empty one, and none at all.
quietly "$v3" sign-blob --key p256.key "${v3flags[@]}" --new-bundle-format=false --output-signature v3/other.sig other.tgz
quietly "$v3" sign-blob --key p256.key "${v3flags[@]}" --bundle v3/other.sigstore.json other.tgz
quietly "$v3" sign-blob --key p256.key "${v3flags[@]}" --new-bundle-format=false --output-signature v3/emptyfile.sig empty
quietly "$v3" attest-blob --key p256.key "${v3flags[@]}" --type custom --predicate <(echo '{}') --bundle v3/attestation.sigstore.json bundle.tgz
head -c 300 /dev/urandom >garbage.sig

# Other spellings of v3/p256.sig.
for key in p256 rsa2048 ed25519; do base64 -d v3/$key.sig >v3/$key.raw.sig; done
{ printf '\r\n  '; fold -w 40 v3/p256.sig; printf '\r\n\n'; } >v3/p256.spaced.sig
{ cat v3/p256.raw.sig; echo; } >v3/p256.raw-newline.sig

rm -rf "$here"/v2 "$here"/v3
mv ./*.tgz ./*.pub p384.crt empty garbage.sig private.key v2 v3 "$here"
