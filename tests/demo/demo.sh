#!/usr/bin/env bash
# The main job on a small sample bundle, for real: print its release, push it to
# a registry on disk, pull an image back and check it. Works in a temporary
# directory and needs Go, make and a base Debian system.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "Building the tools, which takes a minute the first time."
make -s build
PATH=$PWD/bin:$PATH
work=$(mktemp -d -t demo.XXXXXX)
serve=
cleanup() {
  [ -z "$serve" ] || kill "$serve" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap cleanup EXIT
go run ./tests/samplebundle/cmd/mkbundle --out "$work/bundle.tgz" --size 20MiB
cd "$work"

say() { printf '\n# %s\n' "$*"; }

# show COMMAND: prints a command line as one would type it, and runs it.
show() {
  printf '$ %s\n' "$1"
  eval "set -o pipefail; $1"
}

# get PATH FILE: fetches from the registry with nothing but the shell, so that
# the check shares no code with the tools.
get() {
  local status
  exec 5<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET %s HTTP/1.0\r\nHost: localhost:%s\r\nAccept: %s\r\n\r\n' "$1" "$port" \
    'application/vnd.oci.image.manifest.v1+json' >&5
  IFS= read -r status <&5
  LC_ALL=C sed '1,/^\r$/d' <&5 >"$2"
  exec 5<&-
  case $status in *' 200 '*) ;; *) echo "GET $1: $status" >&2; return 1 ;; esac
}

# check FILE DIGEST
check() {
  local got
  got=sha256:$(sha256sum <"$1" | cut -d' ' -f1)
  [ "$got" = "$2" ] || { echo "$1 has the digest $got, want $2" >&2; exit 1; }
  printf '  %-8s %s ok, %d bytes\n' "$1" "$2" "$(stat -c %s "$1")"
}

say 'A small sample in the vendor'\''s layout stands in for the bundle of 22 GB. Print its release:'
show 'bundle-version bundle.tgz'

say 'Serve a registry from a directory, on a free port of the loopback interface:'
echo '$ oci-serve --host 127.0.0.1 --port 0 --storage registry &'
exec 4< <(exec oci-serve --host 127.0.0.1 --port 0 --storage registry --format '{{.address}}')
serve=$!
IFS= read -r address <&4
port=${address##*:}
echo "It listens on $address."

say 'Push everything in the bundle as a stream, without unpacking it:'
show "bundle-ls bundle.tgz | oci-push --to localhost:$port >pushed"
tail -n 1 pushed

say 'Push again: blobs that the registry already has are skipped.'
show "bundle-ls bundle.tgz | oci-push --to localhost:$port --quiet | tail -n 1"

say 'Pull one image back over HTTP, and recompute all its digests:'
bundle-ls --format '{{.repository}} {{.tag}} {{.digest}} {{.type}}' bundle.tgz >list
read -r repository tag want _ < <(grep -m 1 ' image$' list)
get "/v2/$repository/manifests/$tag" manifest
echo "$repository:$tag"
check manifest "$want"
grep -oE 'sha256:[0-9a-f]{64}' manifest | while read -r want; do
  get "/v2/$repository/blobs/$want" blob
  check blob "$want"
done

say "Done. The temporary directory is removed now: $work"
