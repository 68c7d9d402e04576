#!/usr/bin/env bats
# Several controllers, each on its own host: k0s is the stand-in of tests/k0s, with
# a real etcd. A second one joins in both ways, and each of the two is removed; the
# other must have its quorum.
# shellcheck disable=SC2154,SC2034 # output and stderr are set by run; on uses there
# shellcheck disable=SC2016,SC2030,SC2031 # for shells over there; each test has its hosts

load lib/helper
load lib/host
load lib/guide

setup_file() {
  local tool
  export MEDIA=$BATS_FILE_TMPDIR/media GUIDE=$ROOT/man/k0rdent-airgap.7
  mkdir -p "$MEDIA/bin"
  for tool in $(tools); do ln "$ROOT/bin/$tool" "$MEDIA/bin" 2>/dev/null || cp "$ROOT/bin/$tool" "$MEDIA/bin"; done
  [ ! -e "$ROOT/.cache/bin/etcd" ] || cp "$ROOT/.cache/bin/etcd" "$MEDIA/bin"
  cp -r "$(type -P etcdpeer)" "$ROOT/install.sh" "$ROOT/lib/install" "$MEDIA/bin"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=site -keyout "$BATS_FILE_TMPDIR/key" -out "$MEDIA/ca.pem" -days 2 2>/dev/null
}

# pair: hosts n1 at 10.0.0.5, which is a controller, and n2 at 10.0.0.6.
pair() {
  hosts
  need etcd
  there=(PATH=/media/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin K0S_ROOT=/ K0S_LOG=/root/k0s.log K0S_SERVER=10.0.0.5:2379
    'K0S_START=[ "$1" = worker ] || etcdpeer start "$2/etcd.real" ${FIRST-}' 'K0S_STOP=[ "$1" = worker ] || etcdpeer stop "$2/etcd.real"' 'K0S_ETCD=etcdpeer "$@"')
  host n1
  host n2
  wire n1 10.0.0.5/24 n2 10.0.0.6/24
  mkk0s --claim v1.36.3+k0s.2 --out "$MEDIA/k0s"
  for name in n1 n2; do on "$name" sh -c 'mkdir -p /usr/local/bin && cp /media/k0s /usr/local/bin/'; done
  on n1 sh -c 'mkdir -p /etc/k0s /var/lib/k0rdentd/registry/tls && cp /media/ca.pem /var/lib/k0rdentd/registry/tls/ &&
    echo "spec: {api: {address: 10.0.0.5, sans: [n1, 10.0.0.5]}, network: {nodeLocalLoadBalancing: {enabled: true}}}" >/etc/k0s/k0s.yaml
    k0s install controller --enable-worker --no-taints && k0s start'
}

# joined WAY: n2 is a second controller, by an archive or by --join.
joined() {
  # As in the guide. There is no API server in which a node could become Ready.
  guide Controllers 1 >lines
  [ "$(wc -l <lines)" = 2 ]
  there=("${there[@]}" K0S_UP_TIMEOUT=2s "K0S_UP_IGNORE=memory,network,ports,sysinfo,system")
  on n1 sh -euc "ln -sf /media/bin/install.sh .; $(sed -n 1p lines)" >/dev/null 2>err || { cat err; return 1; }
  there+=(FIRST=10.0.0.5 "DIGEST=$(sed -n 's/.* --digest //p' err)")
  if [ "$1" = archive ]; then
    on n1 cat /root/controller.tar.gz | on n2 sh -c 'ln -sf /media/bin/install.sh .; cat >controller.tar.gz'
    run -1 on n2 sh -euc "$(sed -n 2p lines)"
    run -1 on n2 sh -euc "$(sed -n 2p lines)"
    on n2 rm -rf /var/lib/k0rdentd/install
  else
    on n1 k0s-up --quiet --token controller >/dev/null
    on n1 cat /etc/k0s/k0s.yaml | on n2 sh -c 'mkdir -p /etc/k0s; cat >/etc/k0s/k0s.yaml'
    on n1 cat /var/lib/k0rdentd/controller-token | on n2 sh -c 'cat >/root/token'
    # There is no API server in which a node could become Ready.
    run -1 on n2 k0s-up --join controller --token-file /root/token --timeout 2s --ignore memory,network,ports,sysinfo,system </dev/null
    run -1 on n2 k0s-up --join controller --token-file /root/token --timeout 2s --ignore memory,network,ports,sysinfo,system </dev/null
  fi
  on n2 cat /etc/k0s/k0s.yaml >yaml
  grep -q 'address: .10\.0\.0\.6' yaml
  both='{"members":{"n1":"http://10.0.0.5:2380","n2":"http://10.0.0.6:2380"}}'
  same "$(on n1 k0s etcd member-list)" "$both"
  same "$(on n2 k0s etcd member-list)" "$both"
  on n1 sh -c ': >/root/k0s.log'
  on n2 sh -c ': >/root/k0s.log'
}

# calls NAME: what k0s was run for on the host.
calls() { on "$1" sh -c 'grep -E "^(install|start|stop|reset|etcd leave)" /root/k0s.log | uniq | paste -sd,'; }

# alone NAME ADDRESS: etcd works there, without another member.
alone() {
  # An election may be in progress, which a lost quorum would never end.
  on "$1" etcdpeer write 2>err || on "$1" etcdpeer write
  same "$(on "$1" k0s etcd member-list)" "{\"members\":{\"$1\":\"http://$2:2380\"}}"
}

@test "controllers: whichever way they join and in whichever order they leave, the other keeps its quorum" {
  local way
  pair
  for way in --join archive; do
    joined $way
    run -0 on n2 sh /media/bin/install.sh --uninstall --plan
    [[ $output == *'the cluster keeps running on n1'*'k0s-leave planned: k0s etcd leave --peer-address 10.0.0.6'* ]]
    [ -z "$(calls n2)" ]
    run -0 --separate-stderr on n2 sh /media/bin/install.sh --uninstall --yes
    [[ $stderr == *'k0s is removed, and this host has left its cluster, which keeps running'* ]]
    [ "$(calls n2)" = 'etcd leave --peer-address 10.0.0.6,stop,reset' ]
    run ! on n2 test -e /etc/k0s/k0s.yaml
    run ! on n2 test -e /var/lib/k0s
    alone n1 10.0.0.5

    # Again, and now the first one is removed.
    on n2 sh -c 'cp /media/k0s /usr/local/bin/; rm -rf /root/k0s-* /etc/k0s'
    joined $way
    run -0 --separate-stderr on n1 sh /media/bin/install.sh --uninstall --yes
    [ "$(calls n1)" = 'etcd leave --peer-address 10.0.0.5,stop,reset' ]
    alone n2 10.0.0.6

    # Only one is left, so nothing leaves etcd.
    run -0 on n2 sh /media/bin/install.sh --uninstall --plan
    [[ $output == *'k0s-leave skipped: this host does not share etcd with others'* ]]
    run -0 on n2 k0s-up --reset --yes </dev/null
    [[ $output == *'this host is the only controller of its cluster'* ]]
    [ "$(calls n2)" = 'stop,reset' ]

    # From the start, the other way.
    there=("${there[@]/FIRST=*/FIRST=}")
    for name in n1 n2; do on "$name" sh -c 'cp /media/k0s /usr/local/bin/; rm -rf /root/k0s-* /etc/k0s'; done
    on n1 sh -c 'mkdir -p /etc/k0s && echo "spec: {api: {address: 10.0.0.5}, network: {nodeLocalLoadBalancing: {enabled: true}}}" >/etc/k0s/k0s.yaml
      mkdir -p /var/lib/k0rdentd/registry/tls && cp /media/ca.pem /var/lib/k0rdentd/registry/tls/
      k0s install controller --enable-worker --no-taints && k0s start'
  done
}

@test "controllers: without an answer about the others nothing is removed, except with --last-controller" {
  pair
  joined archive
  # k0s is stopped, which says nothing about the others.
  on n2 k0s stop
  run -1 --separate-stderr on n2 sh /media/bin/install.sh --uninstall --yes
  [[ $stderr == *'k0s is stopped, so it is unknown whether this cluster has other controllers'*'k0s start'*'--last-controller'* ]]
  [ "$(calls n2)" = stop ]
  on n2 k0s start
  on n2 etcdpeer write

  # The first one is lost, and with it the quorum.
  kill -KILL "${inits[0]}"
  run -1 --separate-stderr on n2 k0s-up --reset --yes </dev/null
  [[ $stderr == *'cannot determine whether this cluster has other controllers'*'--last-controller'* ]]
  [ "$(calls n2)" = stop,start ]
  run -0 on n2 sh /media/bin/install.sh --uninstall --yes --last-controller
  [ "$(calls n2)" = stop,start,stop,reset ]
}

@test "controllers: a controller that etcd refuses to remove keeps its data" {
  pair
  joined archive
  # A member that never starts, but is required. etcd accepts none before it has
  # been complete for five seconds.
  until on n1 etcdpeer add 10.0.0.7 2>err; do
    grep -q 'unhealthy cluster' err
    sleep 0.5
  done
  run -1 --separate-stderr on n2 k0s-up --reset --yes </dev/null
  [[ $stderr == *'k0s-leave: k0s etcd leave --peer-address 10.0.0.6: '*'etcdserver: '*'hint: etcd refuses while too few members are up'* ]]
  [ "$(calls n2)" = 'etcd leave --peer-address 10.0.0.6' ]
  on n1 etcdpeer write
  on n2 etcdpeer write
}

@test "controllers: a controller whose etcd stops before it has answered has left" {
  pair
  joined archive
  there+=('K0S_ETCD=etcdpeer "$@" && { [ "$1" != leave ] || { echo "failed to delete etcd peer from cluster: rpc error: code = Unavailable desc = error reading from server: EOF"; exit 1; }; }')
  run -0 on n2 k0s-up --reset --yes </dev/null
  [ "$(calls n2)" = 'etcd leave --peer-address 10.0.0.6,stop,reset' ]
  alone n1 10.0.0.5
}

@test "controllers: a controller that gets no answer and is still a member keeps its data" {
  pair
  joined archive
  there+=('K0S_ETCD=[ "$1" != leave ] || { echo "rpc error: code = Unavailable desc = error reading from server: EOF"; exit 1; }; etcdpeer "$@"')
  run -1 --separate-stderr on n2 k0s-up --reset --yes </dev/null
  [[ $stderr == *'k0s-leave: k0s etcd leave --peer-address 10.0.0.6: '*'error reading from server: EOF'* ]]
  [ "$(calls n2)" = 'etcd leave --peer-address 10.0.0.6' ]
  on n1 etcdpeer write
}

@test "controllers: --last-controller is refused while the others answer" {
  pair
  joined archive
  run -2 --separate-stderr on n2 k0s-up --reset --yes --last-controller </dev/null
  [[ $stderr == *'etcd answers and has other members: n1'* ]]
  [ -z "$(calls n2)" ]
}

@test "controllers: the first one keeps serving the registry that the others pull from" {
  pair
  on n1 sh -c 'mkdir -p /var/lib/k0rdentd/registry/blobs /var/lib/k0rdentd/registry/repositories /var/lib/k0rdentd/install
    echo /usr/local/bin/k0s >/var/lib/k0rdentd/install/files; cp /media/bin/oci-serve /usr/local/bin; echo /usr/local/bin/oci-serve >>/var/lib/k0rdentd/install/files'
  joined archive
  run -1 --separate-stderr on n1 sh /media/bin/install.sh --uninstall --purge --yes
  [[ $stderr == *'pull from the registry on this host'*'without --purge'* ]]
  run -0 on n1 sh /media/bin/install.sh --uninstall --plan
  [[ $output == *'oci-serve keeps serving /var/lib/k0rdentd/registry'* ]]
  run -0 --separate-stderr on n1 sh /media/bin/install.sh --uninstall --yes
  [[ $stderr == *'this host still serves the registry that the others pull from'* ]]
  on n1 test -e /usr/local/bin/oci-serve
  run ! on n1 test -e /usr/local/bin/k0s
  alone n2 10.0.0.6
  # Again, it is removed.
  run -0 --separate-stderr on n1 sh /media/bin/install.sh --uninstall --purge --yes
  run ! on n1 test -e /usr/local/bin/oci-serve
  run ! on n1 test -e /var/lib/k0rdentd/registry
}

@test "controllers: a worker is removed with install.sh and what its join installed" {
  pair
  on n2 sh -c 'mkdir -p /root/only /etc/k0s/containerd.d /etc/k0s/certs.d/quay.io; cp /media/bin/install.sh /root/only/; mkdir -p /usr/local/lib; cp -r /media/bin/install /usr/local/lib/k0rdent-airgap; cp /media/bin/install.sh /usr/local/bin/k0rdent-airgap-install; cp /media/bin/k0s-up /media/bin/k0s-mirror-config /usr/local/bin/
    for f in containerd.d/cri-registry.toml certs.d/quay.io/hosts.toml; do echo "# Managed by k0s-mirror-config: x" >/etc/k0s/$f; done
    echo ca >/etc/k0s/certs.d/quay.io/ca.crt; echo "# k0s_managed=true" >/etc/k0s/containerd.toml
    echo token >/etc/k0s/join-token; k0s install worker --token-file /etc/k0s/join-token && k0s start; rm /etc/k0s/join-token'
  there[0]=PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin
  run -0 on n2 sh /root/only/install.sh --uninstall --plan
  [ "$(calls n2)" = 'install worker --token-file /etc/k0s/join-token,start' ]
  run -0 --separate-stderr on n2 sh /root/only/install.sh --uninstall --yes
  [[ $stderr == *'this host has left its cluster, which keeps running'*'k0s kubectl delete node n2'* ]]
  [ "$(calls n2)" = 'install worker --token-file /etc/k0s/join-token,start,stop,reset' ]
  run ! on n2 test -e /etc/k0s
  # On a controller that would end the cluster.
  run -1 --separate-stderr on n1 sh -c 'cp /media/bin/install.sh /root/ && sh /root/install.sh --uninstall --yes'
  [[ $stderr == *'unpack the whole release archive'* ]]
  [[ $(calls n1) != *reset* ]]
}

@test "controllers: a host without a route gets a hint, whichever way it joins" {
  local checks=memory,ports,sysinfo,system,time
  pair
  there+=("K0S_UP_IGNORE=$checks")
  on n1 sh /media/bin/install.sh --export-controller /root/controller.tar.gz >/dev/null 2>err
  there+=("DIGEST=$(sed -n 's/.* --digest //p' err)")
  on n1 cat /root/controller.tar.gz | on n2 sh -c 'cat >/root/controller.tar.gz'
  route() { nsenter --target "${hosts[n2]}" --net ip route "$@" default dev eth0; }
  refused() {
    run -1 --separate-stderr on n2 sh -c 'sh /media/bin/install.sh --controller controller.tar.gz --digest "$DIGEST" --plan'
    [[ $stderr == *$1* ]] || { echo "$stderr"; false; }
    [ -z "$(calls n2)" ]
    run ! on n2 test -e /etc/k0s
  }
  route del
  refused 'network: this host has no default route for IPv4'
  nsenter --target "${hosts[n2]}" --net ip route add unreachable default
  refused 'no default route for IPv4'
  nsenter --target "${hosts[n2]}" --net ip route del unreachable default
  nsenter --target "${hosts[n2]}" --net ip route add blackhole default
  refused 'no default route for IPv4'
  nsenter --target "${hosts[n2]}" --net ip route del blackhole default
  # The command in the hint, with an unused gateway.
  [[ $stderr =~ '"'(ip route add default via 10\.0\.0\.1)'"' ]]
  # shellcheck disable=SC2086 # a command
  nsenter --target "${hosts[n2]}" --net ${BASH_REMATCH[1]}
  on n2 sh -c ': >/etc/resolv.conf'
  refused 'network: /etc/resolv.conf lists no nameserver*echo nameserver 10.0.0.6 >>/etc/resolv.conf'
  on n2 sh -c 'echo nameserver 127.0.0.1 >/etc/resolv.conf'
  refused "lists only loopback nameservers"
  on n2 sh -c 'echo nameserver 10.0.0.6 >>/etc/resolv.conf'
  run --separate-stderr on n2 sh -c 'sh /media/bin/install.sh --controller controller.tar.gz --digest "$DIGEST" --plan'
  echo "$stderr"
  [ "$status" = 0 ]
}
