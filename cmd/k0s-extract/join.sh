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
usage: sh join.sh [--plan] [--address IP] [--token-file FILE] [--replace]
                  [--wait SECONDS]

Make this host a $role of the cluster, with k0s $version.

  --plan             print what would be done, and do nothing
  --address IP       this host's address for other nodes and pods (default: that
                     of the interface with the default route)
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

plan='' replace='' given='' address='' wait=300
while [ $# -gt 0 ]; do
  case $1 in
  --plan) plan=yes ;;
  --replace) replace=yes ;;
  --token-file | --wait | --address)
    [ $# -gt 1 ] || fail "$1 needs a value" '' 2
    case $1 in
    --wait) wait=$2 ;;
    --address) address=$2 ;;
    *) given=$2 ;;
    esac
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
'' | *[!0-9]*) fail "--wait $wait: must be a number of seconds" '' 2 ;;
esac
case $given in
'' | /*) ;;
*) given=$PWD/$given ;;
esac
case $0 in
*/*) cd -- "${0%/*}" ;;
esac

temp='' temp2=''
trap 'rm -f ${temp:+"$temp"} ${temp2:+"$temp2"}' EXIT
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

# node: the name that kubelet gives this host.
node() { uname -n | tr '[:upper:]' '[:lower:]'; }

# ready: the cluster knows this host as a node that is Ready and has an address;
# of a controller without pods, that its API server is ready.
ready() {
  if [ "$role" = controller ]; then
    "$bin" kubectl get --raw /readyz >/dev/null 2>&1
    return
  fi
  about=$("$bin" kubectl --kubeconfig $data/kubelet.conf get node "$(node)" \
    -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.addresses[?(@.type=="InternalIP")].address}' 2>/dev/null) || return 1
  case $about in 'True '?*) ;; *) return 1 ;; esac
}

# missing says what a host has not reached that has not joined.
missing() {
  if ! running; then
    printf 'k0s does not answer'
  elif ! joined; then
    printf 'the cluster has not let it in'
  elif [ "$role" = controller ]; then
    printf 'its Kubernetes API is not ready'
  else
    printf 'node %s is not Ready or has no InternalIP' "$(node)"
  fi
}

# gateway: the interface of the default route; nothing if there is none, or one
# that only refuses.
gateway() {
  [ -e /proc/net/route ] || return 0
  while read -r device to _ flags _ _ _ mask _; do
    case $to$mask$device in 0000000000000000\*) continue ;; 0000000000000000*) ;; *) continue ;; esac # * is a blackhole's
    if [ $((0x$flags & 0x201)) = 1 ]; then
      printf %s "$device"
      return
    fi
  done </proc/net/route
}

# gateway6: the same for IPv6.
gateway6() {
  [ -e /proc/net/ipv6_route ] || return 0
  while read -r to bits _ _ _ _ _ _ flags device; do
    case $to$bits in *[!0]*) continue ;; esac
    if [ "$device" != lo ] && [ $((0x$flags & 0x201)) = 1 ]; then
      printf %s "$device"
      return
    fi
  done </proc/net/ipv6_route
}

# own lists the host's addresses, but for loopback.
own() {
  last=''
  [ ! -e /proc/net/fib_trie ] || while read -r a b c _; do
    case "$a $b $c" in
    '|-- '*) last=$b ;;
    '/32 host LOCAL') case $last in 127.*) ;; *) printf '%s\n' "$last" ;; esac ;;
    esac
  done </proc/net/fib_trie
  [ ! -e /proc/net/if_inet6 ] || while read -r hex _ _ scope _; do
    [ "$scope" != 00 ] || printf '%s\n' "$hex" | fold -w 4 | paste -sd :
  done </proc/net/if_inet6
}

# mine ADDRESS: the host has it.
mine() {
  for one in $(own); do [ "$one" != "$1" ] || return 0; done
  return 1
}

# number ADDRESS: as /proc/net/route has it, its bytes in reverse.
number() {
  old=$IFS IFS=.
  # shellcheck disable=SC2086 # four numbers
  set -- $1
  IFS=$old
  printf %s $(($1 | $2 << 8 | $3 << 16 | $4 << 24))
}

# onward: the host's addresses on the interface of the default route.
onward() {
  device=$(gateway)
  own | sort -u | while read -r one; do
    case $one in *:*) continue ;; esac
    while read -r d to _ _ _ _ _ mask _; do
      if [ "$d" = "$device" ] && [ "$mask" != 00000000 ] && [ $(($(number "$one") & 0x$mask)) = $((0x$to)) ]; then
        printf '%s\n' "$one"
        break
      fi
    done </proc/net/route
  done
}

# settle_address finds this host's address for other nodes: what is asked for,
# what it has in its k0s.yaml, or what the default route goes out from.
settle_address() {
  if [ -n "$address" ]; then
    case $address in
    *:*) ;; # written in many ways
    *) mine "$address" || fail "--address $address: this host has no such address" "it has $(own | sort -u | paste -sd ' ' -)" ;;
    esac
    return
  fi
  if [ -e $etc/k0s.yaml ]; then
    while read -r key value; do
      [ "$key" = address: ] || continue
      value=${value#[\'\"]} value=${value%[\'\"]}
      ! mine "$value" || address=$value
    done <$etc/k0s.yaml
    [ -z "$address" ] || return 0
  fi
  address=$(onward)
  case $address in
  '') fail 'cannot tell which address of this host other nodes and pods reach' "name it with --address; it has $(own | sort -u | paste -sd ' ' -)" ;;
  *'
'*) fail "this host has several addresses that other nodes may reach: $(printf %s "$address" | paste -sd ' ' -)" 'name one with --address' ;;
  esac
}

# with_own FILE: prints a packed k0s.yaml with the address and the name of this
# host where k0s-extract has left a mark.
with_own() {
  while IFS= read -r line || [ -n "$line" ]; do
    indent=${line%%#*}
    case $line in
    *'# join.sh: address') printf "%saddress: '%s'\n" "$indent" "$address" ;;
    *'# join.sh: peerAddress') printf "%speerAddress: '%s'\n" "$indent" "$address" ;;
    *'# join.sh: sans') printf "%ssans:\n%s  - '%s'\n%s  - '%s'\n" "$indent" "$indent" "$(node)" "$indent" "$address" ;;
    *'# join.sh: items of sans') printf "%s- '%s'\n%s- '%s'\n" "$indent" "$(node)" "$indent" "$address" ;;
    *) printf '%s\n' "$line" ;;
    esac
  done <"$1"
}

# nameservers FILE: those that it names.
nameservers() {
  [ ! -e "$1" ] || while read -r key value _; do
    [ "$key" != nameserver ] || printf '%s ' "$value"
  done <"$1"
}

# resolves NAMESERVER…: one of them is not this host's loopback.
resolves() {
  for one in "$@"; do case $one in 127.* | ::1 | 0.0.0.0 | ::) ;; *) return 0 ;; esac; done
  return 1
}

# check_network: without a default route a node gets no address, and without a
# nameserver CoreDNS does not start. Whether anything answers does not matter.
check_network() {
  [ -n "$(gateway)$(gateway6)" ] ||
    fail 'this host has no default route: its node would get no address, and pods would not start' \
      'ip route add default via ADDRESS, with any address of its network; make it permanent in the host'\''s network settings'
  resolv=/etc/resolv.conf
  [ "$(nameservers $resolv)" != '127.0.0.53 ' ] || resolv=/run/systemd/resolve/resolv.conf
  # shellcheck disable=SC2046 # one word each
  resolves $(nameservers $resolv) ||
    fail "$resolv names no nameserver but loopback: the cluster's DNS would not start" \
      "add one, such as this host's own address: echo nameserver ADDRESS >>/etc/resolv.conf; with systemd-resolved, DNS=ADDRESS in /etc/systemd/resolved.conf.d/site.conf"
}

# check_name: kubelet makes the host's name that of the node, and a label.
check_name() {
  name=$(node)
  case $name in
  localhost | localhost.*) fail "the host's name is $name, which is the name of every host without one" 'hostnamectl set-hostname NAME' ;;
  *[!a-z0-9.-]* | [.-]* | *[.-]) fail "the host's name $name cannot be the name of a node: use letters, digits, hyphens and dots" 'hostnamectl set-hostname NAME' ;;
  esac
  [ ${#name} -le 63 ] || fail "the host's name has ${#name} characters: a node's name has 63 at most" 'hostnamectl set-hostname NAME'
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

check_name
check_network
config=etc/k0s/k0s.yaml
[ ! -e $config ] || settle_address

kind=${role%%+*}
other=worker
[ "$kind" = controller ] || other=controller
! service $other || fail "this host is a $other already" 'k0s reset removes that'

if [ -e "$bin" ] && [ -z "$replace" ] && ! same k0s "$bin"; then
  ! running || fail "$bin is another k0s, and runs" 'k0s stop ends it, and its pods run on; --replace replaces the file under it'
  there=$("$bin" version 2>/dev/null) || there=''
  [ -n "$there" ] || fail "$bin exists and is not a k0s that runs" '--replace replaces it'
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
  "$config")
    temp2=$(mktemp)
    with_own $config >"$temp2"
    place "$mode" "$temp2" "/$path" $etc/.join.new
    rm -f "$temp2"
    temp2=''
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
until joined && running && ready; do
  [ $seconds -lt "$wait" ] ||
    fail "this host has not joined within $wait s: $(missing); the token stays" "see journalctl -u k0s$kind, and run join.sh again to wait on" 75
  seconds=$((seconds + 1))
  sleep 1
done
rm -f "$token" # not needed again: k0s looks at it only until it has joined
rm -f token || say "remove $PWD/token, which is secret"
say "joined: k0s $version runs as $role"
