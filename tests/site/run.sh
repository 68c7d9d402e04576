#!/usr/bin/env bash
# A site of two hosts, from nothing to nothing: two booted containers on a network
# of their own, whose gateway counts what asks for a name or tries to leave. The
# first host is installed and restarted, the second joins it, the platform is
# upgraded, and both are uninstalled. Needs root and systemd-nspawn.
#
#   make site                                   with stand-ins for k0s and the platform
#   make site K0S=FILE BUNDLE=FILE KEY=FILE     with the real ones; takes an hour
#
#   K0S      a k0s for this machine; not needed if the bundle has one
#   BUNDLE   the vendor's bundle, its signature next to it
#   KEY      the vendor's public key
#   UPGRADE  a second bundle, to upgrade to (default: none with a real bundle)
#   IGNORE   what k0s-up and k0rdent-install --ignore get: checks that such a container fails
#   REPORT   a directory for the report and the logs (default dist/site)
#
# Exit status: 0 if everything held, 1 if not, 2 for misuse.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
cd "$ROOT"
PATH=$ROOT/bin:$ROOT/.cache/bin:$PATH
. tests/lib/media.bash

gateway=10.77.0.1
declare -A addresses=([n1]=10.77.0.11 [n2]=10.77.0.12) boots=() leaders=()

usage() { sed -n '/^#   make site/,/^# Exit/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# misuse TEXT
misuse() { printf 'site: %s\n' "$1" >&2; usage; }

[ "$(id -u)" = 0 ] || { echo 'site: must run as root: it boots containers' >&2; exit 1; }
for program in systemd-nspawn nsenter ip nft script jq curl; do
  command -v $program >/dev/null || { echo "site: $program is not installed; tests/setup.sh installs it" >&2; exit 1; }
done
[ -z "${BUNDLE-}" ] || [ -n "${KEY-}" ] || misuse 'BUNDLE requires KEY'
[ -z "${K0S-}" ] || [ -n "${BUNDLE-}" ] || misuse 'K0S requires BUNDLE: without one there is nothing for it to run'
for file in "${BUNDLE-}" "${BUNDLE:+$BUNDLE.sig}" "${KEY-}" "${K0S-}" "${UPGRADE-}" "${UPGRADE:+$UPGRADE.sig}"; do
  [ -z "$file" ] || [ -r "$file" ] || misuse "cannot read $file"
done
real=${BUNDLE:+yes}

report=$(realpath -m "${REPORT:-dist/site}")
mkdir -p "$report"
results=$report/results
: >"$results"
work=$(mktemp -d -p "${TMPDIR:-/var/tmp}" site.XXXXXX)
name=site$$

cleanup() {
  local host
  set +e
  for host in "${!boots[@]}"; do
    [ -z "${leaders[$host]-}" ] || kill -KILL "${leaders[$host]}" 2>/dev/null
    kill "${boots[$host]}" 2>/dev/null
    wait "${boots[$host]}" 2>/dev/null
  done
  for host in gw "${!addresses[@]}"; do ip netns del "$name-$host" 2>/dev/null; done
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# gw COMMAND…: in the gateway's network.
gw() { ip netns exec "$name-gw" "$@"; }

# network lays a bridge with a gateway, which has a way out that leads nowhere and
# counts what takes it, and what asks for a name.
network() {
  local host
  ip netns add "$name-gw"
  gw ip link set lo up
  gw ip link add br0 type bridge
  gw ip addr add $gateway/24 dev br0
  gw ip link set br0 up
  gw ip link add out type veth peer name nowhere
  gw ip addr add 10.78.0.1/24 dev out
  gw ip link set out up
  gw ip link set nowhere up
  gw ip route add default via 10.78.0.2
  gw sysctl -qw net.ipv4.ip_forward=1
  # What goes from host to host does not pass the gateway, and is not counted.
  [ ! -e /proc/sys/net/bridge ] || gw sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
  gw nft -f - <<'NFT'
table inet site {
  counter names { }
  counter leaving { }
  chain asked {
    type filter hook prerouting priority -300;
    iifname "br0" meta l4proto { tcp, udp } th dport { 53, 853, 5353 } fib daddr type != multicast counter name names
  }
  chain leave {
    type filter hook forward priority 0; policy drop;
    iifname "br0" counter name leaving
  }
}
NFT
  for host in "${!addresses[@]}"; do
    ip netns add "$name-$host"
    ip link add eth0 netns "$name-$host" type veth peer name "$host" netns "$name-gw"
    gw ip link set "$host" master br0 up
    ip -n "$name-$host" link set lo up
    ip -n "$name-$host" addr add "${addresses[$host]}/24" dev eth0
    ip -n "$name-$host" link set eth0 up
    ip -n "$name-$host" route add default via $gateway
  done
}

# counted COUNTER: how many packets.
counted() { gw nft -j list counter inet site "$1" | jq '[.nftables[].counter // empty | .packets] | add'; }

# metered shows that the counters count, and sets them to nothing.
metered() {
  nsenter --net="/run/netns/$name-n1" bash -c ": >/dev/udp/$gateway/53; echo x >/dev/udp/$gateway/53; echo x >/dev/udp/192.0.2.1/9" || true
  [ "$(counted names)" -gt 0 ] && [ "$(counted leaving)" -gt 0 ] && gw nft reset counters >/dev/null
}

# tree HOST: the files of a host: this machine's /usr, and nothing else.
tree() {
  local root=$work/$1 dir
  mkdir -p "$root"/{usr,etc/systemd/system-preset,etc/alternatives,var/lib,root,opt,srv,media,tmp,run,proc,sys,dev} "$work/$1.local/bin"
  for dir in bin sbin lib lib64; do [ ! -L /$dir ] || ln -s "usr/$dir" "$root/$dir"; done
  cp /usr/lib/os-release "$root/etc/"
  echo 'disable *' >"$root/etc/systemd/system-preset/00-site.preset"
  echo "$1" >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n%s %s\n' "${addresses[$1]}" "$1" >"$root/etc/hosts"
  # Nobody answers there; who asks is counted.
  echo "nameserver $gateway" >"$root/etc/resolv.conf"
}

# boot HOST: boots it, once or again after a power-off.
boot() {
  local host=$1 command
  command=(systemd-nspawn --quiet --register=no --keep-unit --console=interactive --resolv-conf=off --timezone=off
    --network-namespace-path="/run/netns/$name-$host" --hostname="$host" --machine="$name-$host" --directory="$work/$host"
    --bind-ro=/usr --bind="$work/$host.local:/usr/local" --bind-ro=/etc/alternatives
    --bind-ro="$work/media:/media" --bind="$work/carried:/carried")
  # What a real kubelet and containerd need.
  [ -z "$real" ] || command+=(--capability=all --bind=/dev/kmsg --bind-ro=/lib/modules --system-call-filter='@keyring bpf perf_event_open')
  command+=(--boot -- systemd.firstboot=off systemd.unit=multi-user.target)
  # It needs a terminal.
  script -qec "exec $(printf '%q ' "${command[@]}")" /dev/null </dev/null >>"$report/$host.console" 2>&1 &
  boots[$host]=$!
  booted "$host"
}

# booted HOST: waits until it has booted.
booted() {
  local host=$1 tries
  for ((tries = 0; tries < 600; tries++)); do
    leaders[$host]=$(leader "${boots[$host]}" || true)
    if [ -n "${leaders[$host]}" ] && on "$host" systemctl -q is-active multi-user.target 2>/dev/null; then return; fi
    kill -0 "${boots[$host]}" 2>/dev/null || break
    sleep 0.1
  done
  echo "site: $host does not boot: $(tail -n 1 "$report/$host.console" | tr -d '\r')" >&2
  return 1
}

# leader PID: the first process of the container that a script(1) runs.
leader() {
  local nspawn child children
  nspawn=$(tr -d ' ' 2>/dev/null <"/proc/$1/task/$1/children") && [ -n "$nspawn" ] || return
  read -ra children <<<"$(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null)"
  for child in "${children[@]}"; do
    if grep -qs "^NSpid:	$child	1\$" "/proc/$child/status"; then echo "$child"; return; fi
  done
  return 1
}

# on HOST COMMAND…: as root there, outside of any service.
on() {
  local pid=${leaders[$1]}
  shift
  nsenter --target "$pid" --mount --uts --ipc --net --pid --root --wd=/ env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin "$@"
}

# typed HOST COMMAND: a shell command as an operator gives it there.
there=()
typed() {
  local host=$1 one env=()
  for one in "${there[@]}"; do env+=(--setenv="$one"); done
  echo "# $host: $2" >>"$report/log"
  on "$host" systemd-run --quiet --collect --pipe --wait --working-directory=/root "${env[@]}" bash -euo pipefail -c "$2" 2>&1 | tee -a "$report/log"
}

# phase NAME COMMAND…: one line of the results and of the report. After one that
# failed, the next ones have nothing to stand on.
phase() {
  local title=$1 start=$SECONDS status=ok
  shift
  [ -z "$failed" ] || [ "$1" = silent ] || return 0
  printf '%s\n' "site: $title"
  "$@" >"$work/said" || status='not ok'
  printf '%s %s\n' "$status" "$title" >>"$results"
  printf '%-7s %5d s  %s\n' "$status" $((SECONDS - start)) "$title" >>"$report/report.txt"
  [ "$status" = ok ] || { failed=yes; grep -v '^\[[0-9]*/?\]' "$work/said" | tail -n 40; }
}
failed=''

prepare() {
  mkdir -p "$work/carried" "$work/media/usb"
  go build -o "$work/bin/" ./tests/samplebundle/cmd/mkbundle
  PATH=$work/bin:$PATH
  release "$work/media/release"
  if [ -n "$real" ]; then
    carry "$BUNDLE" bundle
    [ -z "${UPGRADE-}" ] || carry "$UPGRADE" next
    cp "$KEY" "$usb/cosign.pub"
    [ -z "${K0S-}" ] || cp "$K0S" "$work/media/k0s"
  else
    bundles "$usb" 1.3.0 1.2.3
    carry "$usb/airgap-bundle-1.2.3.tar.gz" bundle
    carry "$usb/airgap-bundle-1.3.0.tar.gz" next
    plane "$work/media/plane"
    # k0s brings up a real control plane, whose nodes and controllers are played.
    cp tests/site/started.sh "$work/media/"
    # shellcheck disable=SC2016 # for the shell of the stand-in
    there=(K0S_ROOT=/ K0S_LOG=/root/k0s.log "K0S_SERVER=${addresses[n1]}:6443" 'K0S_STOP=[ "$1" = worker ] || systemctl stop plane'
      "K0S_START=sh /media/started.sh \"\$1\" \"\$2\" ${addresses[n1]}"
      K0RDENT_INSTALL_TIMEOUT=100s K0S_UP_TIMEOUT=100s)
    # A container on a small machine is not the host that the preflight asks for.
    IGNORE=${IGNORE-system,memory,disk}
  fi
  [ -z "${IGNORE-}" ] || there+=("K0RDENT_INSTALL_IGNORE=$IGNORE" "K0S_UP_IGNORE=$IGNORE")
}

# carry FILE NAME: a bundle and its signature, without a copy.
carry() {
  ln "$1" "$usb/$2.tar.gz" 2>/dev/null || ln -s "$1" "$usb/$2.tar.gz"
  cp "$1.sig" "$usb/$2.tar.gz.sig"
}

# installer HOST ARGUMENTS: install.sh as it was carried in.
installer() { typed "$1" "/media/release/install.sh $2"; }

first="--bundle /media/usb/bundle.tar.gz --key /media/usb/cosign.pub --host-address ${addresses[n1]}"

installed() {
  installer n1 "$first --plan" || return
  if [ -z "${K0S-}" ]; then
    installer n1 "$first"
    return
  fi
  local step
  for step in check tools version serve push; do installer n1 "$first --only $step" || return; done
  typed n1 'k0s-extract --from /media/k0s --to /usr/local/bin/k0s' && installer n1 "$first --from mirror"
}

joined() {
  local digest
  installer n1 '--export-worker /carried/worker.tar.gz' >"$work/exported" || return
  digest=$(grep -o 'sha256:[0-9a-f]\{64\}' "$work/exported" | tail -n 1)
  installer n2 "--worker /carried/worker.tar.gz ${digest:+--digest $digest}" &&
    typed n2 '[ ! -e /etc/k0s/join-token ]' || return
  [ -z "$real" ] || ready n2 || return
  installer n1 --status
}

# ready HOST: the cluster has it as a node that is Ready.
ready() { typed n1 "k0s kubectl wait --for=condition=Ready --timeout=300s node/$1"; }

restarted() {
  on n1 systemctl --no-block reboot
  wait "${boots[n1]}" || true
  boot n1 || return
  # The stand-in is not a service of its own.
  [ -n "$real" ] || typed n1 'k0s start' || return
  typed n1 'systemctl is-active oci-serve' || return
  [ -z "$real" ] || ready n1 || return
  installer n1 '--from install' >"$work/again" || return
  ! grep -E '^\[[0-9]+/[0-9]+\] [a-z0-9-]+ done' "$work/again"
}

upgraded() {
  local version
  version=$(bundle-version --quiet --format '{{.version}}' "$usb/next.tar.gz") &&
    installer n1 "--bundle /media/usb/next.tar.gz --key /media/usb/cosign.pub --only push" &&
    typed n1 "k0rdent-install --ca $ca --registry ${addresses[n1]}:5000/k0rdent-enterprise --release $version --upgrade"
}

uninstalled() {
  installer n2 '--uninstall --yes' && installer n1 '--uninstall --purge --yes' &&
    typed n1 '! ls -A /usr/local/bin /etc/k0s /etc/systemd/system/oci-serve* /var/lib/k0rdentd 2>/dev/null | grep -v :' &&
    typed n2 '! ls -A /usr/local/bin /etc/k0s 2>/dev/null | grep -v :'
}

silent() {
  printf 'DNS queries: %s, packets that tried to leave: %s\n' "$(counted names)" "$(counted leaving)" | tee -a "$report/report.txt"
  [ "$(counted names)" = 0 ] && [ "$(counted leaving)" = 0 ]
}

# journals keeps what the hosts have to say.
journals() {
  local host
  for host in "${!boots[@]}"; do on "$host" journalctl -q --no-pager >"$report/$host.journal" 2>/dev/null || true; done
  cp "$work/n1/var/log/k0rdent-airgap/install.ndjson" "$report/" 2>/dev/null || true
}

# begin names what is tried, at the head of the report.
begin() {
  {
    printf 'Site of two hosts, %s\n' "$(date -u +%FT%TZ)"
    printf 'tools:  %s\n' "$(oci-push --version)"
    printf 'bundle: %s\n' "${BUNDLE:-a sample}"
    printf 'k0s:    %s\n' "${K0S:-$([ -n "$real" ] && echo 'as in the bundle' || echo 'a stand-in')}"
    printf 'kernel: %s\n\n' "$(uname -r)"
  } >"$report/report.txt"
}

ca=/var/lib/k0rdentd/registry/tls/ca.pem usb=$work/media/usb
: >"$report/log"
prepare
begin
network
phase 'the counters work' metered
for host in n1 n2; do
  tree "$host"
  boot "$host"
done
phase 'the first host is installed' installed
phase 'a worker joins' joined
phase 'the first host is restarted' restarted
[ ! -e "$usb/next.tar.gz" ] || phase 'the platform is upgraded' upgraded
journals
phase 'both hosts are uninstalled' uninstalled
phase 'no lookup and no packet left the site' silent
cat "$report/report.txt"
[ -z "$failed" ]
