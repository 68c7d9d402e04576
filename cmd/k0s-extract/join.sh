#!/bin/sh
# Makes this host a node of a k0s cluster. It checks what was packed beside it,
# puts k0s and the configuration of its containerd in place, installs and starts
# k0s with the join token, and removes the token once it was used. Run again, it
# goes on where it stopped, and leaves alone what is right.
#
# It needs a shell and GNU coreutils. README says more.
set -eu

# What k0s-extract packed.
version='@VERSION@'
arch='@ARCH@'
role='@ROLE@'

# Mode and path of the files that belong below /. Those of one directory stand
# together, and the file at which containerd starts anew is the last.
files='@FILES@'

bin=/usr/local/bin/k0s
etc=/etc/k0s
data=/var/lib/k0s
stage=$etc/.certs.join.new
token=$etc/join-token

usage() {
  cat <<END
usage: sh join.sh [--plan] [--token-file FILE] [--replace] [--wait SECONDS]

Make this host a $role of the cluster, with k0s $version.

  --plan             tell what would be done, and do nothing
  --token-file FILE  join token, instead of the file token that was packed
  --replace          replace a k0s that runs, is newer, or is none
  --wait SECONDS     how long the host may take to join (default 300)

Exit codes: 0 joined, 1 failed, 2 misuse, 75 not joined yet: run it again.
END
}

say() { printf '%s\n' "$*"; }

# fail TEXT [HINT [CODE]]
fail() {
  printf 'join.sh: %s\n' "$1" >&2
  [ -z "${2-}" ] || printf 'hint: %s\n' "$2" >&2
  exit "${3-1}"
}

plan='' replace='' given='' wait=300
while [ $# -gt 0 ]; do
  case $1 in
  --plan) plan=yes ;;
  --replace) replace=yes ;;
  --token-file | --wait)
    [ $# -gt 1 ] || fail "$1 needs a value" '' 2
    if [ "$1" = --wait ]; then wait=$2; else given=$2; fi
    shift
    ;;
  -h | --help)
    usage
    exit
    ;;
  *) fail "no such flag: $1" 'sh join.sh --help lists the flags' 2 ;;
  esac
  shift
done
case $wait in
'' | *[!0-9]*) fail "--wait $wait: want a number of seconds" '' 2 ;;
esac
case $given in
'' | /*) ;;
*) given=$PWD/$given ;;
esac
case $0 in
*/*) cd -- "${0%/*}" ;;
esac

temp=''
trap '[ -z "$temp" ] || rm -f "$temp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# same FILE FILE: the two have the same content.
same() { [ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ]; }

running() { [ -x "$bin" ] && "$bin" status >/dev/null 2>&1; }

# joined: k0s does not need the token any more. A worker has a kubeconfig of its
# own then, a controller a member of etcd, or, on other storage, the cluster's
# authority by the time that k0s answers.
joined() {
  case $role in
  worker) [ -e $data/kubelet.conf ] ;;
  *)
    [ -e $data/etcd/member/snap/db ] ||
      { [ ! -e $data/etcd ] && [ -e $data/pki/ca.key ] && running; }
    ;;
  esac
}

# service ROLE: k0s is installed as its service.
service() { [ -e "/etc/systemd/system/k0s$1.service" ] || [ -e "/etc/init.d/k0s$1" ]; }

# place MODE FILE TARGET TEMP: puts a file in place, whole or not at all.
place() {
  if [ -f "$3" ] && [ "0$(stat -Lc %a "$3")" = "$1" ] && same "$2" "$3"; then
    say "unchanged $3"
    return
  fi
  if [ -n "$plan" ]; then
    say "would write $3"
    return
  fi
  if [ -L "$3" ] || { [ -e "$3" ] && [ ! -f "$3" ]; }; then
    fail "$3: is no regular file" 'move it out of the way'
  fi
  (umask 022 && mkdir -p "${3%/*}")
  temp=$4
  (umask 077 && cp "$2" "$temp")
  chmod "$1" "$temp"
  sync "$temp"
  mv -f "$temp" "$3"
  temp=''
  sync "${3%/*}"
  say "written $3"
}

# place_host MODE PATH: puts a file of a new directory of certs.d beside the
# others, until hosts.toml, the last, completes it: a directory without that
# sends its pulls to the public registry.
place_host() {
  if [ -n "$plan" ]; then
    say "would write /$2"
    return
  fi
  (umask 022 && mkdir -p "$stage" $etc/certs.d)
  (umask 077 && cp "$2" "$stage/${2##*/}")
  chmod "$1" "$stage/${2##*/}"
  sync "$stage/${2##*/}"
  say "written /$2"
  case $2 in
  */hosts.toml)
    mv -T "$stage" "/${2%/*}"
    sync $etc/certs.d
    ;;
  esac
}

# --- Is all here, and may it be done?

[ -e SHA256SUMS ] || fail 'SHA256SUMS is not here: what was packed is not complete' 'unpack it again'
while read -r sum name; do
  # A token that was used is gone.
  if [ "$name" != token ] || [ -e token ]; then printf '%s  %s\n' "$sum" "$name"; fi
done <SHA256SUMS | sha256sum --check --quiet --strict - >&2 ||
  fail 'what was packed is damaged' 'unpack it again'

machine=$(uname -m)
case $machine in
x86_64) machine=amd64 ;;
aarch64) machine=arm64 ;;
armv*) machine=arm ;;
esac
[ "$machine" = "$arch" ] || fail "this k0s is for $arch, and this host is $machine"
[ -n "$plan" ] || [ "$(id -u)" = 0 ] || fail 'only root can do this' 'sh join.sh --plan tells what it would do'

kind=${role%%+*}
other=worker
[ "$kind" = controller ] || other=controller
! service $other || fail "this host is a $other already" 'k0s reset takes that away'

if [ -e "$bin" ] && [ -z "$replace" ] && ! same k0s "$bin"; then
  ! running || fail "$bin is another k0s, and runs" 'k0s stop ends it, and its pods run on; --replace replaces the file under it'
  there=$("$bin" version 2>/dev/null) || there=''
  [ -n "$there" ] || fail "$bin is there, and not a k0s that tells its version" '--replace replaces it'
  [ "$(printf '%s\n' "$there" "$version" | sort -V | tail -n 1)" = "$version" ] ||
    fail "$bin is k0s $there, newer than $version" '--replace replaces it'
fi

from=${given:-token}
if ! joined && [ ! -s "$from" ]; then
  # A run that was stopped may have put it in place.
  if [ -n "$given" ] || [ ! -s "$token" ]; then
    fail "there is no join token in $from" "on a controller, k0s token create --role=$kind --expiry=1h prints one; --token-file takes it"
  fi
fi

# --- Do it.

[ -n "$plan" ] || rm -rf "$stage"
place 0755 k0s "$bin" "${bin%/*}/.k0s.join.new"
while read -r mode path; do
  case $path in
  '') ;;
  etc/k0s/certs.d/*)
    if [ -d "/${path%/*}" ]; then
      place "$mode" "$path" "/$path" $etc/.join.new
    else
      place_host "$mode" "$path"
    fi
    ;;
  *) place "$mode" "$path" "/$path" $etc/.join.new ;; # containerd.d is watched: nothing else may appear in it
  esac
done <<END
$files
END

if joined; then
  say 'unchanged: this host has joined the cluster'
elif [ -s "$from" ]; then
  place 0600 "$from" "$token" $etc/.join.new
fi

if service "$kind"; then
  say "unchanged: the service k0s$kind is installed"
else
  set -- install "$kind" --token-file "$token"
  [ "$kind" = worker ] || set -- "$@" --config $etc/k0s.yaml
  [ "$role" != controller+worker ] || set -- "$@" --enable-worker --no-taints
  if [ -n "$plan" ]; then
    say "would run k0s $*"
  else
    "$bin" "$@"
    say "installed the service k0s$kind"
  fi
fi

if [ -n "$plan" ]; then
  running || say 'would start k0s, wait until this host has joined, and remove the token'
  exit
fi
if running; then
  say 'unchanged: k0s runs'
else
  "$bin" start
  say 'started k0s'
fi
seconds=0
until joined && running; do
  [ $seconds -lt "$wait" ] ||
    fail "this host has not joined within $wait s; the token stays" "journalctl -u k0s$kind tells more; run join.sh again to wait on" 75
  seconds=$((seconds + 1))
  sleep 1
done
rm -f "$token" # not needed again: k0s looks at it only until it has joined
rm -f token || say "remove $PWD/token, which is secret"
say "joined: k0s $version runs as $role"
