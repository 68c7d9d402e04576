#!/usr/bin/env bash
# Measures bundle-verify next to sha256sum, openssl and, if it is named, cosign 3:
# the same file in the page cache, one after the other in each round.
#
#   tests/bench/verify.sh [COSIGN]
#
#   BENCH_SIZE  bytes of the file (1000000000)
#   BENCH_RUNS  rounds; medians are printed (3)
set -euo pipefail
cosign=${1-}
[ -z "$cosign" ] || cosign=$(realpath "$cosign")
cd "$(dirname "$0")/../.."
make -s build
PATH=$PWD/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

openssl rand -out file "${BENCH_SIZE:-1000000000}"
for key in 'p256 EC -pkeyopt ec_paramgen_curve:P-256' 'p384 EC -pkeyopt ec_paramgen_curve:P-384' 'rsa RSA -pkeyopt rsa_keygen_bits:4096'; do
  # shellcheck disable=SC2086 # a name, a kind and its options
  set -- $key
  name=$1
  shift
  openssl genpkey -algorithm "$@" -out "$name.pem" 2>log
  openssl pkey -in "$name.pem" -pubout -out "$name.pub"
  openssl dgst -sha256 -sign "$name.pem" -out "$name.sig" file
done
openssl genpkey -algorithm ed25519 -out ed25519.pem
openssl pkey -in ed25519.pem -pubout -out ed25519.pub
openssl pkeyutl -sign -inkey ed25519.pem -rawin -in file -out ed25519.sig

# measure NAME COMMAND…
measure() {
  local name=$1
  shift
  cat file >/dev/null
  /usr/bin/time -a -o times -f "$name\t%e\t%U\t%S\t%M" "$@" >log 2>&1
}
for _ in $(seq "${BENCH_RUNS:-3}"); do
  measure sha256sum sha256sum file
  measure 'openssl dgst -sha256 -verify' openssl dgst -sha256 -verify p256.pub -signature p256.sig file
  for key in p256 p384 rsa ed25519; do
    measure "bundle-verify, $key" bundle-verify --quiet --key $key.pub --signature $key.sig file
  done
  [ -z "$cosign" ] || measure "cosign verify-blob, p256" "$cosign" verify-blob --key p256.pub --signature p256.sig --insecure-ignore-tlog file
done

printf '%s, %s CPUs, SHA instructions: %s; load at the end: %s\n\n' "$(date -u +%F)" "$(nproc)" \
  "$(grep -qwE 'sha_ni|sha2' /proc/cpuinfo && echo yes || echo no)" "$(cut -d' ' -f1-3 /proc/loadavg)"
echo '| what | seconds | CPU s | MB/s | peak RSS MB |'
echo '|---|---:|---:|---:|---:|'
cut -f1 times | awk '!seen[$0]++' | while IFS= read -r name; do
  awk -F '\t' -v n="$name" '$1 == n' times | sort -t $'\t' -g -k2 | awk -F '\t' -v bytes="$(stat -c %s file)" '
    {line[NR] = $0}
    END {split(line[int((NR + 1) / 2)], f, "\t"); printf "| %s | %.2f | %.2f | %.0f | %.0f |\n", f[1], f[2], f[3] + f[4], bytes / f[2] / 1e6, f[5] * 1024 / 1e6}'
done
