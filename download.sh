#!/bin/sh
# Downloads a release of k0rdent Enterprise, on a host with the internet: the
# bundle, its signature, the vendor's key, and the k0s programs. Partial downloads
# are resumed, and all of it is verified.
#
# It needs bundle-verify and bundle-version next to it (or on the PATH), a POSIX
# shell, coreutils, sed, and curl or wget. For --parts, wget must be version 1.16 or later.
set -eu

usage() {
  cat <<'END'
usage: download.sh VERSION [--bundle FILE] [--parts SIZE] [--key FILE] [--plan]

  download.sh 1.2.3
  download.sh 1.2.3 --parts 4G

Download the bundle of a release, its signature, the vendor's key and the
release's k0s programs; resume partial downloads; verify all of it.

Files:
  --bundle FILE  download the bundle to FILE
                 (default airgap-bundle-VERSION.tar.gz in this directory)
  --parts SIZE   download the bundle in parts of SIZE, such as 700M or 4G (4 GiB
                 less one byte, the most that FAT32 holds), to FILE.part-001,
                 FILE.part-002 and so on, with their checksums in FILE.sha256
  --key FILE     the vendor's public key, downloaded to FILE if that does not
                 exist (default cosign.pub next to the bundle)

General:
  --plan         print what would be downloaded, and download nothing
  --help, -h     print this text
  --version      print the version

K0RDENT_DOWNLOAD_URL is the address of the releases, instead of the vendor's.
Exit codes: 0 done, 1 failed, 2 misuse, 75 try again, 130 interrupted.
END
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PATH=$here/bin:$PATH:/usr/local/bin
vendor=${K0RDENT_DOWNLOAD_URL:-https://get.mirantis.com/k0rdent-enterprise}
download='' bundle='' parts='' key='' plan='' pieces=''

say() { printf 'download.sh: %s\n' "$*" >&2; }

# fail TEXT [HINT [CODE]]
fail() {
  say "$1"
  [ -z "${2-}" ] || printf 'hint: %s\n' "$2" >&2
  exit "${3-1}"
}

misuse() { fail "$1" 'download.sh --help lists the flags' 2; }
bytes() { if [ -e "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi; } # stat differs on macOS

# get URL FILE: downloads the rest of URL into FILE. some URL FROM SIZE: prints so many
# bytes of it, from there on, or fewer. headers URL: prints its headers.
if command -v curl >/dev/null; then
  get() { curl -fL --retry 3 -C - -o "$2" "$1"; }
  some() { curl -fL -r "$2-$(($2 + $3 - 1))" "$1" | head -c "$3"; }
  headers() { curl -fsSLI "$1"; }
elif command -v wget >/dev/null; then
  get() { wget -c -O "$2" "$1"; }
  some() { wget --tries=1 --start-pos="$2" -O - "$1" | head -c "$3"; } # which ends it
  headers() { wget -S --spider "$1" 2>&1; }
else
  get() { fail 'neither curl nor wget is installed'; }
fi

# part URL FILE FROM SIZE: like get, for these bytes of URL and with curl's status.
part() {
  [ "$had" -le "$4" ] || return 33
  [ "$had" = "$4" ] || some "$1" $(($3 + had)) $(($4 - had)) >>"$2"
  case $(bytes "$2") in "$4") ;; "$had") return 23 ;; *) return 18 ;; esac
}

# need URL FILE: fetch of a file that must exist.
need() { fetch "$1" "$2" || fail "the server has no $1" 'check the version'; }
# fetch URL FILE [FROM SIZE]: downloads a file, or these bytes of it, however often the
# connection breaks, as long as data arrives. It fails if the server does not have it.
fetch() {
  [ ! -s "$2" ] || return 0
  idle=0
  while true; do
    had=$(bytes "$2.part") code=0
    if [ $# = 2 ]; then get "$1" "$2.part"; else part "$1" "$2.part" "$3" "$4"; fi || code=$?
    case $code in
    0) break ;;
    8 | 22) # wget, curl: the server says no, and wget leaves an empty file
      [ -s "$2.part" ] || rm -f -- "$2.part"
      return 1
      ;;
    3 | 23) # wget, curl: cannot write
      [ "$(bytes "$2.part")" -lt 4294967295 ] ||
        fail "$2.part cannot be written: FAT32 holds no file of 4 GiB or more" 'add --parts 4G, or download it to exFAT, ext4 or NTFS'
      ;;
    33) rm -f -- "$2.part" ;; # curl: it cannot send a part
    esac
    idle=$((idle + 1))
    if [ "$(bytes "$2.part")" -gt "$had" ]; then idle=0; fi
    [ $idle -lt 3 ] || fail "cannot download $1" 'run the same command again; it resumes the download' 75
    sleep $idle
  done
  mv -- "$2.part" "$2"
}

# header NAME: the last value of a header on stdin, in lower case.
header() { tr -d '\r' | tr '[:upper:]' '[:lower:]' | sed -n "s/^ *$1: *//p" | tail -n 1; }
# sums FILE…: their checksums; macOS has shasum.
sums() { if command -v sha256sum >/dev/null; then sha256sum -- "$@"; else shasum -a 256 -- "$@"; fi; }

# pieces URL FILE: downloads a file in parts, each of which is resumed.
pieces() {
  said=$(headers "$1") || case $? in
  8 | 22) fail "the server has no $1" 'check the version' ;;
  *) fail "cannot download $1" 'run the same command again; it resumes the download' 75 ;;
  esac
  all=$(printf '%s\n' "$said" | header content-length)
  case $(printf '%s\n' "$said" | header accept-ranges):${all:-0} in bytes:[1-9]*) ;; *)
    fail "the server does not send parts of $1" "download it whole, and cut it: split -b $size -d -a 3 --numeric-suffixes=1 FILE FILE.part-" ;;
  esac
  [ $((all / size)) -lt 999 ] || misuse "invalid --parts: $all bytes would be more than 999 parts"
  at=0 n=1
  while [ $at -lt "$all" ]; do
    part=$2.part-$(printf %03d $n) want=$((all - at))
    [ "$want" -le "$size" ] || want=$size
    fetch "$1" "$part" $at "$want"
    [ "$(bytes "$part")" = "$want" ] || fail "$part has $(bytes "$part") bytes, not $want: it is from another download" 'remove it, and run the same command again'
    at=$((at + want)) n=$((n + 1))
  done
  (cd -- "$(dirname -- "$2")" && sums "$(basename -- "$2")".part-[0-9][0-9][0-9]) >"$2.sha256"
}

# in_bytes SIZE: its number of bytes, or nothing if it is none.
in_bytes() {
  n=${1%%[!0-9]*}
  case $n in '' | 0* | ?????????????*) return ;; esac
  case ${1#"$n"} in
  '') echo "$n" ;;
  K | KiB) echo $((n << 10)) ;;
  M | MiB) echo $((n << 20)) ;;
  G | GiB) echo $((n << 30)) ;;
  KB) echo $((n * 1000)) ;;
  MB) echo $((n * 1000000)) ;;
  GB) echo $((n * 1000000000)) ;;
  esac
}

# signature URL FILE: downloads the signature of a file, detached or a sigstore
# bundle, and sets sig to its name. It fails if the server has neither.
signature() {
  for form in sig sigstore.json; do
    sig=$2.$form
    if fetch "$1.$form" "$sig"; then return; fi
  done
  return 1
}

# signed FILE [WHAT]: verifies a file whose signature is $sig, or says to remove WHAT.
signed() { bundle-verify --key "$key" --signature "$sig" "$1" >/dev/null || fail "$1 is not what its vendor signed" "remove ${2-it} and $sig, and run the same command again" $?; }

while [ $# -gt 0 ]; do
  word=$1
  shift
  case $word in
  --*=*) set -- "${word%%=*}" "${word#*=}" "$@" ;;
  --bundle | --parts | --key | --download) # the last is VERSION, from install.sh
    [ -n "${1-}" ] || misuse "$word requires a value"
    eval "${word#--}=\$1" && shift
    ;;
  --plan) plan=yes ;;
  --help | -h) usage && exit ;;
  --version)
    command -v bundle-verify >/dev/null || fail 'bundle-verify is missing' 'unpack the whole release archive, and run the download.sh in it'
    bundle-verify --version | sed 's/^bundle-verify/download.sh/' && exit
    ;;
  -*) misuse "unknown flag $word" ;;
  *)
    [ -z "$download" ] || misuse "unexpected argument \"$word\""
    download=$word
    ;;
  esac
done
case $download in
'') misuse 'no version given' ;;
.* | *[!A-Za-z0-9._+-]*) misuse "invalid VERSION \"$download\": must be a version such as 1.2.3" ;;
esac
size=$(in_bytes "${parts:-0}")
[ -z "$parts" ] || [ -n "$size" ] || misuse "invalid --parts \"$parts\": must be a size such as 700M or 4G"
[ "$size" != 4294967296 ] || size=4294967295
bundle=${bundle:-airgap-bundle-$download.tar.gz}
dir=$(dirname -- "$bundle")
key=${key:-$dir/cosign.pub}
from=$vendor/$download
if [ -n "$plan" ]; then
  printf '%s\n' "$vendor/cosign.pub" "$from/airgap-bundle-$download.tar.gz.sig (or .sigstore.json)" "$from/airgap-bundle-$download.tar.gz" "$from/k0s-..."
  exit
fi
mkdir -p -- "$dir"
need "$vendor/cosign.pub" "$key"
signature "$from/airgap-bundle-$download.tar.gz" "$bundle" ||
  fail "the server has neither $from/airgap-bundle-$download.tar.gz.sig nor .sigstore.json" 'check the version'
whole=$bundle got=$bundle
if [ -n "$size" ]; then
  pieces "$from/airgap-bundle-$download.tar.gz" "$bundle"
  bundle=$whole.part-001 got="$whole.part-*, $whole.sha256" pieces="$whole.part-*"
else
  need "$from/airgap-bundle-$download.tar.gz" "$bundle"
fi
signed "$bundle" "${pieces:-it}"
got="$got, $sig, $key"
# The bundle has k0s in it; by itself it is for hosts that have no registry.
names=$(bundle-version --all --quiet --format '{{range .k0s}}k0s-{{.}}-amd64 k0s-{{.}}-arm64 {{end}}' "$bundle")
for name in $names; do
  found=''
  for spelling in "$name" "$(printf %s "$name" | tr + -)"; do
    signature "$from/$spelling" "$dir/$name" || continue
    need "$from/$spelling" "$dir/$name"
    signed "$dir/$name"
    got="$got, $dir/$name" found=yes
    break
  done
  [ -n "$found" ] || say "the server has no signed $name, which only hosts without a registry need"
done
say "carry these files into the site: $got"
say "compare $key with a copy obtained by a different route: a key downloaded with the bundle proves nothing about it"
