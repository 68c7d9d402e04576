#!/usr/bin/env bash
# The main job on a small sample bundle: verifies it, pushes it to a registry on
# disk, interrupts that and completes it, pulls an image back and checks it. Works in
# a temporary directory and needs Go, make, openssl and, the first time, the network
# for Go modules. DEMO_SIZE is the size of the sample.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v openssl >/dev/null || { echo 'demo: openssl is not installed' >&2; exit 1; }
work=$(mktemp -d -t demo.XXXXXX)
serve=
cleanup() {
  [ -z "$serve" ] || kill "$serve" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap cleanup EXIT

bold='' green='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ] && [ "${TERM-dumb}" != dumb ]; then
  bold=$'\e[1m' green=$'\e[32m' plain=$'\e[m'
fi

# say prints a heading.
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

# prompt prints a command line as one would type it.
prompt() { printf '%s$%s %s\n' "$green" "$plain" "$1"; }

# show runs a command line after printing it. Its output may be cut by head.
show() {
  prompt "$1"
  eval "set -o pipefail; $1" || [ $? = 141 ]
}

# get PATH FILE fetches from the registry with nothing but the shell, so that the
# check shares no code with the tools.
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

# held passes on the first half of the records, and then waits to open a pipe that
# nothing writes to. It is one process, which the signal ends at any time, even if the
# shell was started with that signal ignored.
held() {
  exec env --default-signal=INT awk -v half="$half" '{ print } NR == half { fflush(); getline <"hold" }'
}

echo 'Building the tools and a sample bundle; the first time, this downloads Go modules.'
build() {
  make -s build BIN="$work/bin" TOOLS='bundle-verify bundle-version bundle-ls oci-push oci-serve' &&
    go run ./tests/samplebundle/cmd/mkbundle --out "$work/bundle.tgz" --size "${DEMO_SIZE:-200MiB}"
}
build >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
cd "$work"
PATH=$work/bin:$PATH
openssl ecparam -name prime256v1 -genkey -noout -out vendor.key
openssl ec -in vendor.key -pubout -out cosign.pub 2>/dev/null
openssl dgst -sha256 -sign vendor.key -out bundle.tgz.sig bundle.tgz

say "Verify the vendor's signature:"
show 'bundle-verify --key cosign.pub bundle.tgz'

say 'Which release is it, and what is in it?'
show 'bundle-version bundle.tgz'
show 'bundle-ls --format table bundle.tgz | head -n 8 | cut -c-101'

say 'Serve a registry from a directory:'
prompt 'oci-serve --host 127.0.0.1 --port 0 --storage registry &'
exec 4< <(exec oci-serve --host 127.0.0.1 --port 0 --storage registry --format '{{.address}}')
serve=$!
IFS= read -r address <&4
port=${address##*:}
echo "listening on $address"
push="bundle-verify --key cosign.pub bundle.tgz | bundle-ls | oci-push --to localhost:$port"

say 'Push the bundle while it is being verified, and press Control-C halfway:'
prompt "$push >pushed"
# Without the other records the push cannot end before the signal arrives, however
# fast the machine is.
half=$(($(bundle-ls --quiet bundle.tgz | wc -l) / 2))
mkfifo hold
set -m # a process group of its own gets the signal, as on a terminal
eval "${push/| oci-push/| held | oci-push} >pushed" </dev/null &
until [ "$(find registry -path '*/blobs/*' -type f | wc -l)" -ge 100 ]; do
  kill -0 $! || { echo 'demo: the push ended before it was interrupted' >&2; exit 1; }
  sleep 0.02
done
kill -INT -- -$!
wait $! || true
set +m

say 'No image is there yet: tags wait for the signature. The same command sends the rest:'
show "$push >pushed"

say 'Pull one image back over HTTP, and recompute its digests:'
bundle-ls --quiet --format '{{.repository}} {{.tag}} {{.digest}} {{.type}}' bundle.tgz >list
read -r repository tag want _ < <(grep -m 1 ' image$' list)
get "/v2/$repository/manifests/$tag" manifest
echo "$repository:$tag"
check manifest "$want"
grep -oE 'sha256:[0-9a-f]{64}' manifest | while read -r want; do
  get "/v2/$repository/blobs/$want" blob
  check blob "$want"
done

say "Look at the registry's page in a browser: http://localhost:$port/"
if [ -t 0 ] && [ -t 1 ]; then
  read -rp 'Press Enter to end the demo, which stops the registry. ' _
fi
echo "Done; $work is removed. Next: docs/tutorial.md, from here to a site of two hosts."
