# Hosts for tests: each has a network, processes and files of its own. What it
# starts from is the smallest Debian there is (tests/setup.sh), so that a program
# which needs more than that is found out; what is written there lies in memory.
# All of it ends with the test, whatever that leaves running.

eval "helper_$(declare -f teardown)"
teardown() {
  # With it ends the first process of the host, and with that all others.
  if [ ${#inits[@]} -gt 0 ]; then
    kill -KILL "${inits[@]}"
    wait "${inits[@]}" 2>/dev/null || true
  fi
  helper_teardown
}

# hosts: skips the test where there can be none.
hosts() {
  [ "$(id -u)" = 0 ] || skip 'not root'
  need unshare nsenter ip
  [ -d "$ROOT/.cache/debian" ] || skip 'no Debian tree: debootstrap could not make one'
}

# host NAME: makes one, without any network but loopback. $MEDIA, a directory, is
# its /media, as what was carried in; what it has written is in its /written.
declare -gA hosts
inits=()
host() {
  local dir=$BATS_TEST_TMPDIR/hosts/$1
  mkdir -p "$dir"
  mkfifo "$dir/ready"
  # shellcheck disable=SC2016 # for the shell in there
  unshare --mount --net --uts --pid --fork --kill-child bash -euc '
    dir=$1 name=$2 media=$3 debian=$4
    mount -t tmpfs host "$dir"
    mkdir -p "$dir"/{written,work,root,installer/etc}
    echo 127.0.0.1 localhost >"$dir/installer/etc/hosts" # debootstrap makes none
    mount -t overlay host -o "lowerdir=$dir/installer:$debian,upperdir=$dir/written,workdir=$dir/work" "$dir/root"
    cd "$dir/root"
    mkdir written
    mount --bind "$dir/written" written
    mount --bind "$media" media
    [ -e etc/resolv.conf ] || : >etc/resolv.conf
    echo nameserver 10.255.255.53 >"$dir/resolv.conf" # nobody answers there
    mount --bind "$dir/resolv.conf" etc/resolv.conf
    mount -t proc host proc
    mount --rbind /sys sys
    mount --rbind /dev dev
    for d in run tmp; do mount -t tmpfs host $d; done
    hostname "$name"
    ip link set lo up
    echo >&4
    exec 4>&-
    exec chroot . sh -c "while :; do sleep 3600 & wait \$!; done" # it also waits for orphans
  ' host "$dir" "$1" "$MEDIA" "$ROOT/.cache/debian" >"$dir.log" 2>&1 3>&- 4>"$dir/ready" &
  inits+=($!)
  read -r <"$dir/ready" || { cat "$dir.log"; return 1; }
  hosts[$1]=$(tr -d ' ' </proc/$!/task/$!/children)
}

# on NAME COMMAND…: runs it there, with an environment of its own: ${there[@]}.
there=()
on() {
  local pid=${hosts[$1]}
  shift
  nsenter --target "$pid" --mount --net --uts --pid --root \
    env -i -C /root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root "${there[@]}" "$@" 3>&-
}

# address NAME ADDRESS/BITS: gives a host an address on a network that leads nowhere.
address() {
  ip link add eth0 netns "${hosts[$1]}" type veth peer name nowhere netns "${hosts[$1]}"
  up "$1" eth0 "$2"
  nsenter --target "${hosts[$1]}" --net ip link set nowhere up
}

# wire NAME ADDRESS/BITS NAME ADDRESS/BITS: connects two hosts.
wire() {
  ip link add eth0 netns "${hosts[$1]}" type veth peer name eth0 netns "${hosts[$3]}"
  up "$1" eth0 "$2"
  up "$3" eth0 "$4"
}

# up NAME DEVICE ADDRESS/BITS: with a default route, which leads nowhere.
up() {
  nsenter --target "${hosts[$1]}" --net ip -batch - <<<"addr add $3 dev $2
link set $2 up
route replace default dev $2"
}
