#!/bin/sh
# Downloads a release of k0rdent Enterprise, on a host with the internet: the
# bundle, its signature, the vendor's key, and the k0s programs. Partial downloads
# are resumed, and all of it is verified.
#
# It needs bundle-verify and bundle-version beside it (or on the PATH), a POSIX
# shell, coreutils, sed, and curl or wget.
set -eu

usage() {
  cat <<'END'
usage: download.sh VERSION [--bundle FILE] [--key FILE] [--plan]

  download.sh 1.2.3
  download.sh 1.2.3 --bundle /media/usb/airgap-bundle-1.2.3.tar.gz

Download the bundle of a release, its signature, the vendor's key and the
release's k0s programs; resume partial downloads; verify all of it.

Files:
  --bundle FILE  download the bundle to FILE
                 (default airgap-bundle-VERSION.tar.gz in this directory)
  --key FILE     the vendor's public key, downloaded to FILE if that does not
                 exist (default cosign.pub beside the bundle)

General:
  --plan         print what would be downloaded, and download nothing
  --help, -h     print this text

K0RDENT_DOWNLOAD_URL is the address of the releases, instead of the vendor's.
Exit codes: 0 done, 1 failed, 2 misuse, 75 try again, 130 interrupted.
END
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PATH=$here/bin:$PATH:/usr/local/bin
vendor=${K0RDENT_DOWNLOAD_URL:-https://get.mirantis.com/k0rdent-enterprise}
release='' bundle='' key='' plan=''

say() { printf 'download.sh: %s\n' "$*" >&2; }

# fail TEXT [HINT [CODE]]
fail() {
  say "$1"
  [ -z "${2-}" ] || printf 'hint: %s\n' "$2" >&2
  exit "${3-1}"
}

misuse() { fail "$1" 'download.sh --help lists the flags' 2; }

bytes() { if [ -e "$1" ]; then stat -Lc %s -- "$1"; else echo 0; fi; }

# get URL FILE: downloads the rest of URL into FILE. Its status is curl's or wget's.
get() {
  if command -v curl >/dev/null; then
    curl -fL --retry 3 -C - -o "$2" "$1"
  elif command -v wget >/dev/null; then
    wget -c -O "$2" "$1"
  else
    fail 'neither curl nor wget is installed'
  fi
}

# fetch URL FILE: downloads a file, however often the connection breaks, as long as
# data arrives. It fails if the server does not have it.
fetch() {
  [ ! -s "$2" ] || return 0
  idle=0
  while true; do
    had=$(bytes "$2.part")
    code=0
    get "$1" "$2.part" || code=$?
    case $code in
    0) break ;;
    8 | 22) return 1 ;;         # wget, curl: the server says no
    33) rm -f -- "$2.part" ;; # curl: it cannot send a part
    esac
    idle=$((idle + 1))
    [ "$(bytes "$2.part")" -le "$had" ] || idle=0
    [ $idle -lt 3 ] || fail "cannot download $1" 'run the same command again; it resumes the download' 75
    sleep $idle
  done
  mv -- "$2.part" "$2"
}

# need URL FILE: fetch of a file that must exist.
need() { fetch "$1" "$2" || fail "the server has no $1" 'check the version'; }

# signed FILE: verifies a downloaded file.
signed() { bundle-verify --key "$key" "$1" >/dev/null || fail "$1 is not what its vendor signed" "remove it and $1.sig, and run the same command again" $?; }

while [ $# -gt 0 ]; do
  case $1 in
  --bundle=* | --key=*)
    word=$1
    shift
    set -- "${word%%=*}" "${word#*=}" "$@"
    continue
    ;;
  --bundle | --key | --download)
    [ -n "${2-}" ] || misuse "$1 requires a value"
    case $1 in
    --bundle) bundle=$2 ;;
    --key) key=$2 ;;
    *) release=$2 ;; # as install.sh was told
    esac
    shift
    ;;
  --plan) plan=yes ;;
  --help | -h)
    usage
    exit
    ;;
  -*) misuse "unknown flag $1" ;;
  *)
    [ -z "$release" ] || misuse "unexpected argument \"$1\""
    release=$1
    ;;
  esac
  shift
done
case $release in
'') misuse 'no version given' ;;
.* | *[!A-Za-z0-9._+-]*) misuse "invalid VERSION \"$release\": must be a version such as 1.2.3" ;;
esac
bundle=${bundle:-airgap-bundle-$release.tar.gz}
dir=$(dirname -- "$bundle")
key=${key:-$dir/cosign.pub}
from=$vendor/$release
if [ -n "$plan" ]; then
  printf '%s\n' "$vendor/cosign.pub" "$from/airgap-bundle-$release.tar.gz.sig" "$from/airgap-bundle-$release.tar.gz" "$from/k0s-..."
  exit
fi
mkdir -p -- "$dir"
need "$vendor/cosign.pub" "$key"
need "$from/airgap-bundle-$release.tar.gz.sig" "$bundle.sig"
need "$from/airgap-bundle-$release.tar.gz" "$bundle"
signed "$bundle"
got="$bundle, $bundle.sig, $key"
# The bundle has k0s in it; by itself it is for hosts that have no registry.
versions=$(bundle-version --all --quiet --format '{{range .k0s}}{{.}} {{end}}' "$bundle")
for name in $(for v in $versions; do echo "k0s-$v-amd64 k0s-$v-arm64"; done); do
  for spelling in "$name" "$(printf %s "$name" | tr + -)"; do
    fetch "$from/$spelling.sig" "$dir/$name.sig" || continue
    need "$from/$spelling" "$dir/$name"
    signed "$dir/$name"
    got="$got, $dir/$name"
    break
  done
done
say "carry these files into the site: $got"
say "compare $key with a copy obtained by a different route: a key downloaded with the bundle proves nothing about it"
