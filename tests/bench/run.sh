#!/usr/bin/env bash
# Measures the tools side by side with the ways one would otherwise take: the
# same bundle, the same oci-serve with fresh storage, one after the other in
# each round, files in the page cache. Prints Markdown; each run is also a line
# of JSON in BENCH_RECORDS. README.md holds figures that this printed.
#
#   BENCH_SIZE      size of the sample as a tar (3GiB)
#   BENCH_ARCHIVES  OCI archives in it (226)
#   BENCH_BUNDLE    a tar.gz to use instead of a sample
#   BENCH_UPLOAD    bytes that pull uploads in one go; a client pulls a quarter (4294967296)
#   BENCH_RUNS      rounds; medians are reported (3)
#   BENCH_PARTS     which of: archive pipe trust slowdisk directory list extract pull (all)
#   BENCH_DISK      bytes a second that slowdisk lets through (104857600)
#   BENCH_DIR       where to work; six times the size is needed, twelve times are better (TMPDIR, or /tmp)
#   BENCH_RECORDS   file for the lines of JSON (.cache/bench.ndjson)
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=/dev/null
. tests/bench/report.sh
size=${BENCH_SIZE:-3GiB}
archives=${BENCH_ARCHIVES:-226}
upload=${BENCH_UPLOAD:-4294967296}
runs=${BENCH_RUNS:-3}
parts=${BENCH_PARTS:-archive pipe trust slowdisk directory list extract pull}
disk=${BENCH_DISK:-104857600}
records=${BENCH_RECORDS:-$PWD/.cache/bench.ndjson}
ROOT=$PWD
PATH=$PWD/bin:$PWD/.cache/bin:$PATH
work=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/bench.XXXXXX")
rows=$work/rows server='' address='' group=''
: >"$rows"
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  wait
  [ -z "$group" ] || rmdir "$group"
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf 'bench: %s\n' "$*" >&2; }

# Peers that are no Debian packages: command, package, version.
peers='regctl github.com/regclient/regclient/cmd/regctl v0.11.7
oras oras.land/oras/cmd/oras v1.3.6'

# quietly COMMAND…: shows what it printed only if it fails.
quietly() { "$@" >"$work/log" 2>&1 </dev/null || { cat "$work/log" >&2; exit 1; }; }

prepare() {
  local missing=() p
  [ -x /usr/bin/time ] || missing+=(time)
  for p in skopeo jq; do command -v $p >/dev/null || missing+=("$p"); done
  if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      say "missing, and cannot be installed here: ${missing[*]}"
      exit 1
    fi
    say "installing ${missing[*]}"
    quietly apt-get -q update
    DEBIAN_FRONTEND=noninteractive quietly apt-get -q -y install --no-install-recommends "${missing[@]}"
  fi
  local command package version
  while read -r command package version; do
    command -v "$command" >/dev/null && continue
    say "building $command $version"
    GOBIN=$PWD/.cache/bin CGO_ENABLED=0 GOFLAGS=-trimpath quietly go install "$package@$version"
  done <<<"$peers"
  make -s build
  mkdir -p "$work/bin" "$work/tmp"
  CGO_ENABLED=0 go build -trimpath -o "$work/bin/" ./tests/samplebundle/cmd/mkbundle ./tests/bench/gunzip ./tests/bench/pull
  PATH=$work/bin:$PATH
  # The first use of a new file sets its access time: 4096 bytes written.
  oci-push --version >"$work/log"
  # Nobody's settings are changed: each peer keeps its own below the work directory.
  export REGCTL_CONFIG=$work/regctl.json DOCKER_CONFIG=$work/docker TMPDIR=$work/tmp
}

# The archive is made by gzip, as tar czf makes it. Other compressors store what
# does not shrink, and that is inflated ten times as fast.
inputs() {
  if [ -n "${BENCH_BUNDLE-}" ]; then
    ln -s "$(realpath "$BENCH_BUNDLE")" "$work/bundle.tgz"
    mkdir "$work/bundle"
    tar xzf "$work/bundle.tgz" -C "$work/bundle"
  else
    say "making a sample of $size, $archives archives"
    mkbundle --size "$size" --archives "$archives" --out "$work/bundle" --format dir
    mkbundle --size "$size" --archives "$archives" --out - --format tar | gzip >"$work/bundle.tgz"
  fi
  (cd "$work/bundle" && find . -name '*.tar' ! -name 'skopeo*' -printf '%P\n' | sort) >"$work/list"
}

# serve: starts oci-serve with empty storage.
serve() {
  exec 4< <(exec oci-serve --host 127.0.0.1 --port 0 --storage "$work/registry" --format '{{.address}}')
  server=$!
  IFS= read -r address <&4
  export address
  regctl registry set --tls disabled "$address" >/dev/null
}

# unserve: stops it, and lays its storage aside while there is room. ext4 does
# not take an inode again that was deleted in the last minutes, and searches
# long for others: deleted at once, the files of one contender would slow the next.
unserve() {
  kill "$server"
  while kill -0 "$server" 2>/dev/null; do wait "$server" 2>/dev/null || break; done
  exec 4<&-
  server=''
  aside "$work/registry"
}

aside() {
  local free bundle
  free=$(df --output=avail -B1 "$work" | tail -n 1)
  bundle=$(stat -Lc %s "$work/bundle.tgz")
  mkdir -p "$work/aside"
  mv "$1" "$(mktemp -d "$work/aside/XXXXXX")"
  [ "$free" -gt $((4 * bundle)) ] || rm -rf "$work/aside"
}

# run PART CONTENDER COMMAND: one measured run, in the work directory. Bytes
# written are those that the command, and not the server, sent to the file system;
# what it prints is not in them.
run() {
  local part=$1 contender=$2 command=$3 status=0 rss=0 stored=0
  say "round $round: $part: $contender"
  sync
  (cd "$work/bundle" && xargs cat ../bundle.tgz <../list >/dev/null)
  [ -z "$group" ] || dd if="$work/bundle.tgz" iflag=nocache count=0 status=none
  [ -z "$server" ] || echo 5 >"/proc/$server/clear_refs" # restarts VmHWM, proc(5)
  (cd "$work" && { [ -z "$group" ] || echo "$BASHPID" >"$group/tasks"; } && /usr/bin/time -o "$work/time" -f '%e %U %S %M %O' bash -o pipefail -c "$command" 2>&1 >/dev/null) | cat >"$work/log" || status=$?
  if [ $status != 0 ]; then
    say "$contender ended with status $status"
    cat "$work/log" >&2
    exit 1
  fi
  if [ -n "$server" ]; then
    rss=$(awk '/VmHWM/ {print $2 * 1024}' "/proc/$server/status")
    stored=$(du -sb "$work/registry/blobs" | cut -f1)
  elif [ -e "$work/counted" ]; then
    stored=$(cat "$work/counted")
  fi
  tail -n 1 "$work/time" | awk -v p="$part" -v c="$contender" -v n="$round" -v r="$rss" -v s="$stored" \
    '{print p "\t" c "\t" n "\t" $1 "\t" $2 + $3 "\t" $4 * 1024 "\t" $5 * 512 "\t" r "\t" s}' >>"$rows"
}

# peer NAME DIRECTORY: the command that pushes a directory's archives with a
# peer, five at a time. The vendor's rule makes references of file names, which
# have exactly one underscore. oras wants the image that an SBOM is about in the
# same archive, and so cannot push that one.
peer() {
  local push
  # shellcheck disable=SC2016 # expanded where the command runs
  case $1 in
  skopeo) push='skopeo --insecure-policy copy -q -a --dest-tls-verify=false "oci-archive:$f" "docker://$ref"' ;;
  regctl) push='regctl image import "$ref" "$f"' ;;
  oras) push='oras cp --no-tty --to-plain-http --from-oci-layout "$f@$(tar xOf "$f" index.json | jq -r ".manifests[0].digest")" "$ref" || [[ $f = *-sbom.tar ]]' ;;
  esac
  # shellcheck disable=SC2016
  printf "cd %s && xargs -P 5 -n 1 bash -c 'f=\$0; b=\${f%%.tar}; ref=\$address/s/\${b%%_*}:\${b#*_}; %s' <../list" "$2" "$push"
}

archive() {
  run archive gunzip 'gunzip bundle.tgz'
  run archive 'gunzip, lib/gunzip' 'gunzip -ours bundle.tgz'
  serve
  # shellcheck disable=SC2016
  run archive oci-push 'oci-push --quiet --to $address/s bundle.tgz'
  unserve
  serve
  run archive 'tar + skopeo' "mkdir unpacked && tar xzf bundle.tgz -C unpacked && $(peer skopeo unpacked)"
  unserve
  aside "$work/unpacked"
}

# pipe: the bundle is listed by the one program that pushes it, and inflated once.
pipe() {
  serve
  # shellcheck disable=SC2016
  run pipe oci-push 'oci-push --quiet --to $address/s bundle.tgz'
  unserve
  serve
  # shellcheck disable=SC2016
  run pipe 'bundle-ls, oci-push' 'bundle-ls --quiet bundle.tgz | oci-push --quiet --to $address/s'
  unserve
}

# sign makes a key and signs the bundle.
sign() {
  [ ! -e "$work/key.pem" ] || return 0
  openssl ecparam -genkey -name prime256v1 -noout -out "$work/key.pem"
  openssl ec -in "$work/key.pem" -pubout -out "$work/key.pub" 2>/dev/null
  openssl dgst -sha256 -sign "$work/key.pem" "$work/bundle.tgz" | base64 -w0 >"$work/bundle.tgz.sig"
}

# trust: the signature of the bundle, before the push and at the same time.
trust() { sign; verified trust true; }

# verified PART BETWEEN: BETWEEN runs after a file was read once.
verified() {
  run "$1" bundle-verify 'bundle-verify --quiet --key key.pub bundle.tgz'
  serve
  # shellcheck disable=SC2016
  run "$1" 'verify, then push' "bundle-verify --quiet --key key.pub bundle.tgz >verdict && $2 && "'oci-push --quiet --verified-by verdict --to $address/s bundle.tgz'
  unserve
  serve
  # shellcheck disable=SC2016
  run "$1" 'verify while pushing' 'oci-push --quiet --verified-by <(bundle-verify --quiet --key key.pub bundle.tgz) --to $address/s bundle.tgz'
  unserve
}

# slowdisk: the same on a disk that gives BENCH_DISK bytes a second to whoever
# reads the bundle, which does not stay in the page cache, as one larger than
# the memory does not.
slowdisk() {
  local device controller=/sys/fs/cgroup/blkio
  device=$(stat -Lc '%Hd:%Ld' "$work/bundle.tgz")
  [ ! -e "/sys/dev/block/$device/partition" ] || device=$(cat "/sys/dev/block/$device/../dev")
  if ! mkdir "$controller/bench.$$" 2>/dev/null; then
    say 'slowdisk: not measured, no blkio controller (cgroup v1) that can be written here'
    return
  fi
  group=$controller/bench.$$
  echo "$device $disk" >"$group/blkio.throttle.read_bps_device"
  sign
  verified slowdisk 'dd if=bundle.tgz iflag=nocache count=0 status=none'
  rmdir "$group"
  group=''
}

directory() {
  local contender
  serve
  # shellcheck disable=SC2016
  run directory oci-push 'oci-push --quiet --to $address/s bundle'
  # shellcheck disable=SC2016
  run directory 'oci-push again' 'oci-push --quiet --to $address/s bundle'
  unserve
  for contender in skopeo regctl oras; do
    serve
    run directory $contender "$(peer $contender bundle)"
    unserve
  done
}

# list: a process's own account of bytes read takes in the children that it
# has waited for (proc(5), io).
list() {
  # shellcheck disable=SC2016
  run list bundle-ls 'account() { awk "/^rchar/ {print \$2}" /proc/$$/io; }
    before=$(account) && bundle-ls bundle >/dev/null && echo $(($(account) - before)) >counted'
  rm "$work/counted"
}

# extract: a k0s of some 250 MB out of a bundle that holds it for two platforms.
extract() {
  if [ ! -e "$work/k0s.tgz" ]; then
    say 'making a sample with a k0s as large as a real one'
    mkbundle --archives 2 --size 250MiB --out "$work/k0s-bundle" --format dir
    mkbundle --archives 2 --size 250MiB --out - --format tar | gzip >"$work/k0s.tgz"
    printf '{"kind":"bundle","path":"%s","digest":"sha256:%s","signature":"good"}\n' "$work/k0s.tgz" "$(sha256sum <"$work/k0s.tgz" | cut -d' ' -f1)" >"$work/verdict"
  fi
  rm -rf "$work/placed"
  run extract gunzip 'gunzip k0s.tgz'
  # shellcheck disable=SC2016 # expanded where the command runs
  run extract 'tar, tar, tar' 'tar xzf k0s.tgz -C tmp k0sproject && tar xf tmp/k0sproject/k0s_*.tar -C tmp && mkdir placed &&
    for blob in tmp/blobs/sha256/*; do if tar tzf "$blob" 2>log | grep -qx usr/local/bin/k0s; then tar xzf "$blob" -C placed; fi; done; rm -rf tmp/*'
  rm -rf "$work/placed"
  run extract k0s-extract 'k0s-extract --quiet --to placed/k0s k0s.tgz'
  cat "$work/placed/k0s" >/dev/null # sets its access time
  run extract 'k0s-extract again' 'k0s-extract --quiet --to placed/k0s k0s.tgz'
  run extract 'k0s-extract, verified' 'k0s-extract --quiet --to placed/verified <verdict'
  run extract 'k0s-extract, directory' 'k0s-extract --quiet --to placed/dir k0s-bundle'
}

pull() {
  say "round $round: pull"
  "$work/bin/pull" --serve "$ROOT/bin/oci-serve" --dir "$work" --upload "$upload" --pull $((upload / 4)) >"$work/pull-$round"
}

prepare
inputs
for round in $(seq "$runs"); do
  for part in $parts; do $part; done
done
mkdir -p "$(dirname "$records")"
ndjson <"$rows" >"$records"
report
