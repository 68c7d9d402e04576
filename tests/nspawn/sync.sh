#!/usr/bin/env bash
# Runs in a booted container: a second registry follows the first, with the commands of
# the guide. The first is in a network of its own and requires a login.
# shellcheck source=/dev/null
. /nspawn/check.bash
# shellcheck source=/dev/null
. /sample/guide.bash
export GUIDE=/sample/k0rdent-airgap.7
PATH=/opt/k0rdent/bin:$PATH
storage=/var/lib/k0rdentd/registry
ca=$storage/tls/ca.pem
settings=/etc/k0rdent-airgap
first=10.0.0.5:5000
secret='wonder land'
systemd-sysusers /opt/k0rdent/lib/sysusers.d/oci-serve.conf
mkdir -p $settings /srv/first /tmp/carried
systemctl disable --now oci-push-sync.timer # as on a host, where nothing has enabled it

# What a booted host has.
cp /opt/settings/* $settings
ip netns add first
ip link add eth0 type veth peer name eth0 netns first
ip addr add 10.0.0.6/24 dev eth0
ip link set eth0 up
ip -n first addr add 10.0.0.5/24 dev eth0
ip -n first link set eth0 up
# shellcheck disable=SC2016 # a hash, not variables
echo 'alice:$2y$05$kxH0jQ7XtkyhWxZpxU/0.OOWdP6pNrteF.wRfJnjeprEcvTT3DVXi' >/etc/users

# serve_first starts the first registry.
serve_first() {
  systemd-run --quiet --collect --unit=first --property=NetworkNamespacePath=/run/netns/first /opt/k0rdent/bin/oci-serve --host 10.0.0.5 \
    --storage /srv/first --tls auto --htpasswd /etc/users --read auth --write auth --access-log text && eventually curl -sfk --max-time 5 https://$first/healthz
}

push() { oci-push --to $first --ca /srv/first/tls/ca.pem --username alice --password-file /etc/password --quiet "$@" >/tmp/pushed; }

sync() { systemctl reset-failed oci-push-sync.service; systemctl start oci-push-sync.service; }
sync_property() { systemctl show --value -p "$1" oci-push-sync.service; }

# has FILE: the storage has these tags, in the list for other tools too, which is written
# a little later.
has() { [ -z "$(comm -23 "$1" <(audit $storage))" ]; }

# lines: what the journal has of all runs.
lines() {
  journalctl --sync
  journalctl -q --no-pager -o cat -u oci-push-sync
}

# requests SINCE UNIT METHOD: how many were made of a registry.
requests() { journalctl -q --no-pager -o cat --since "$1" -u "$2" | grep -c "method=$3 path=/v2/"; }

# typed N: an example of the guide, in a directory with all that it names.
typed() {
  guide 'A second registry' "$1" >/tmp/typed && [ -s /tmp/typed ] && (cd /tmp/carried && bash -euxo pipefail /tmp/typed)
}

followed() {
  echo "$secret" >/etc/password && install -m 600 -o oci-serve /etc/password $settings/first.password &&
    printf 'OCI_PUSH_FROM_USERNAME=alice\nOCI_PUSH_FROM_PASSWORD_FILE=%s\n' $settings/first.password >>$settings/oci-push-sync.env &&
    echo OCI_SERVE_ACCESS_LOG=text >>$settings/oci-serve.env &&
    serve_first && push /sample/bundle.tgz && cp /srv/first/tls/ca.{pem,key} /tmp/carried && typed 1 &&
    systemctl -q is-enabled oci-push-sync.timer && systemctl stop oci-push-sync.timer && sync && eventually has /sample/bundle &&
    [ "$(lines | grep -c ' pushed$')" = "$(wc -l </sample/bundle)" ] &&
    [ "$(find $storage ! -user oci-serve ! -path "$storage/k0s*" | wc -l)" = 0 ] && ! journalctl -q --no-pager | grep -F "$secret"
}

again() {
  local since begun
  sleep 1 # the journal's times are in seconds here
  since=$(date '+%F %T')
  begun=$(date +%s%N)
  sync || return
  echo "another run took $((($(date +%s%N) - begun) / 1000000)) ms for $(wc -l </sample/bundle) tags"
  journalctl --sync
  echo "requests: $(requests "$since" first '[A-Z]*') of the first, $(requests "$since" oci-serve '[A-Z]*') of the second"
  # A POST links a blob from another repository.
  [ "$(requests "$since" first GET)" -gt 0 ] && [ "$(requests "$since" oci-serve HEAD)" -gt 0 ] &&
    [ "$(requests "$since" oci-serve 'P[AU]T[A-Z]*')" = 0 ] && [ "$(journalctl -q --no-pager -o cat --since "$since" -u oci-push-sync | grep -c -e pushed -e exists)" = 0 ]
}

# The same tags, with other content.
moved() {
  push /sample/other.tgz && ! has /sample/other && sync && eventually has /sample/other && lines | grep -q 'the tag moved from'
}

# In the middle the first falls silent, and the run is killed.
killed() {
  push /sample/third.tgz && nft add table inet silent && nft 'add chain inet silent in { type filter hook input priority 0; }' &&
    nft add rule inet silent in tcp sport 5000 ip saddr 10.0.0.5 quota over 3 mbytes counter drop || return
  systemctl start --no-block oci-push-sync.service
  eventually silent && systemctl kill --signal=KILL oci-push-sync.service && eventually failed
  nft delete table inet silent
  comm -13 <(audit $storage) /sample/third >/tmp/lacking
  echo "$(wc -l </tmp/lacking) of $(wc -l </sample/third) tags were not copied"
  [ -s /tmp/lacking ] && sync && eventually has /sample/third
}

silent() { nft list chain inet silent in | grep -q 'packets [1-9]'; }
failed() { [ "$(sync_property ActiveState) $(sync_property Result)" = 'failed signal' ]; }

deleted() {
  local repository digest
  read -r repository _ digest </sample/third
  curl -sSf --cacert $ca -u "alice:$secret" -X DELETE "https://$first/v2/$repository/manifests/$digest" && sync && has /sample/third
}

# The timer goes on when the first is down, and the copy is complete when it is up again.
# The drop-in shortens the wait.
timed() {
  systemctl stop oci-push-sync.timer first && ! sync && [ "$(sync_property ExecMainStatus)" = 75 ] &&
    systemctl stop oci-serve && find $storage -mindepth 1 -maxdepth 1 ! -name tls -exec rm -r {} + && systemctl start oci-serve || return
  mkdir -p /etc/systemd/system/oci-push-sync.timer.d
  printf '[Timer]\nOnUnitInactiveSec=\nOnUnitInactiveSec=1s\nAccuracySec=100ms\n' >/etc/systemd/system/oci-push-sync.timer.d/test.conf
  systemctl daemon-reload && systemctl start oci-push-sync.timer && serve_first && eventually has /sample/rest
}

# The first is lost, and the second gets its address. A node's files trust both.
replaced() {
  export K0S_MIRROR_CONFIG_K0S_VERSION=v1.36.3+k0s.0 K0S_MIRROR_CONFIG_ROOT=/tmp/node
  typed 2 && cmp /tmp/node/etc/k0s/certs.d/10.0.0.5:5000/ca.crt $ca || return
  systemctl disable --now oci-push-sync.timer && systemctl stop first && ip netns del first && ip link del eth0 2>/dev/null
  ip link add eth0 type veth peer name nowhere && ip addr add 10.0.0.5/24 dev eth0 && ip link set eth0 up && systemctl restart oci-serve &&
    eventually curl -sSf --max-time 5 --cacert $ca https://$first/healthz && curl -sSf --cacert $ca https://$first/v2/_catalog
}

check 'the second follows the first' followed
check 'another run sends nothing' again
check 'a tag that was moved is moved' moved
check 'a killed run is completed by the next' killed
check 'what was deleted stays' deleted
check 'the timer waits for a registry that is down' timed
check 'the second takes the place of the first' replaced
lines
systemctl --no-block poweroff
