#!/usr/bin/env bash
# Runs in a booted container: oci-serve as a service.
# shellcheck source=/dev/null
. /nspawn/check.bash
PATH=/opt/k0rdent/bin:$PATH
registry=localhost:5000
storage=/var/lib/k0rdentd/registry
# Restarts here follow each other faster than anywhere else; what is thought of
# as one that fails again and again is not what is tested.
restart() { systemctl reset-failed oci-serve.service && systemctl restart oci-serve.service; }
systemd-sysusers /opt/k0rdent/lib/sysusers.d/oci-serve.conf
mkdir -p /etc/k0rdent-airgap

published() { audit "http://$registry"; }

activated() {
  systemctl start oci-serve.socket &&
    [ "$(property ActiveState)" = inactive ] &&
    [ "$(curl -s --max-time 20 http://$registry/healthz)" = ok ] &&
    eventually ready # whoever waited at the socket is answered before systemd is told
}

ready() {
  [ "$(property ActiveState)" = active ] &&
    [ "$(property StatusText)" = "Serving on http://127.0.0.1:5000" ]
}

unprivileged() {
  local pid
  pid=$(property MainPID)
  [ "$(stat -c %U "/proc/$pid")" = oci-serve ] &&
    grep -qx 'CapEff:	0000000000000000' "/proc/$pid/status" &&
    grep -qx 'CapBnd:	0000000000000000' "/proc/$pid/status" &&
    grep -qx 'NoNewPrivs:	1' "/proc/$pid/status" &&
    grep -qx 'Seccomp:	2' "/proc/$pid/status"
}

# post USER: the status of an upload that USER starts.
post() {
  setpriv --reuid="$1" --regid="$1" --clear-groups \
    curl -s -o /dev/null -w '%{http_code}' -X POST "http://$registry/v2/probe/blobs/uploads/"
}

# In the unit's user namespace, every other user has the number of nobody.
owners() {
  [ "$(post root)" = 202 ] && [ "$(post oci-serve)" = 202 ] &&
    [ "$(post 65534)" = 403 ] && [ "$(post 12345)" = 403 ]
}

pushed() {
  oci-push --to $registry --quiet /sample/bundle.tgz >/dev/null &&
    diff <(expected) <(published) &&
    [ "$(find $storage ! -user oci-serve | wc -l)" = 0 ]
}

expected() { cat /sample/expected; }

# pull N: gets a manifest again and again until the file /tmp/enough is there,
# each time over a connection of its own, and notes whether it got it.
pull() {
  local outcome
  until [ -e /tmp/enough ]; do
    outcome=refused
    ! curl -sSf -o /dev/null "$@" http://$registry/v2/busybox/manifests/1.37.0 || outcome=answered
    echo x >>/tmp/$outcome
  done
}

# restarted CURL FLAG…: restarts the service three times while one client pulls
# small things, of which it gets some after each, and another a large one,
# slowly. Both get all that they ask for.
restarted() {
  local before puller blob answers
  rm -f /tmp/enough /tmp/refused /tmp/answered
  before=$(property MainPID)
  blob=$(cat /sample/largest)
  pull "$@" &
  puller=$!
  curl -sSf "$@" --limit-rate 400k "http://$registry/v2/$blob" | sha256sum >/tmp/sum &
  eventually test -s /tmp/answered
  for _ in 1 2 3; do
    restart || return
    answers=$(wc -l </tmp/answered)
    eventually answered "$answers" || return
  done
  touch /tmp/enough
  wait
  echo "$(wc -l </tmp/answered) requests answered"
  [ ! -e /tmp/refused ] && [ "$before" != "$(property MainPID)" ] &&
    [ "sha256:$(cut -d' ' -f1 /tmp/sum)" = "${blob##*/}" ] && ! kill -0 $puller 2>/dev/null
}

# answered N: more than N requests were.
answered() { [ "$(wc -l </tmp/answered)" -gt "$1" ]; }

kept() { diff <(expected) <(published); }

# Without the socket there is a moment when nobody listens, and who has connected
# just before it gets no answer.
alone() {
  systemctl stop oci-serve.socket oci-serve.service && systemctl reset-failed oci-serve.service && systemctl start oci-serve.service &&
    restarted --retry 20 --retry-all-errors --retry-delay 1 && kept
}

# A process that hangs is ended and replaced. The drop-in shortens the wait.
watched() {
  local pid
  mkdir -p /etc/systemd/system/oci-serve.service.d
  printf '[Service]\nWatchdogSec=2\n' >/etc/systemd/system/oci-serve.service.d/test.conf
  systemctl daemon-reload && restart || return
  sleep 5 # longer than the watchdog's patience: who answers is left alone
  [ "$(property NRestarts)" = 0 ] || return
  pid=$(property MainPID)
  kill -STOP "$pid"
  eventually replaced "$pid" && [ "$(property NRestarts)" = 1 ] && kept
}

replaced() { [ "$(property ActiveState)" = active ] && [ "$(property MainPID)" != "$1" ] && [ "$(property MainPID)" != 0 ]; }

# The certificate needs the host's addresses, which are asked of the kernel.
encrypted() {
  echo OCI_SERVE_TLS=auto >/etc/k0rdent-airgap/oci-serve.env
  restart &&
    curl -sSf --cacert $storage/tls/ca.pem "https://127.0.0.1:5000/healthz" &&
    [ "$(stat -c %a $storage/tls/ca.key)" = 600 ] &&
    rm /etc/k0rdent-airgap/oci-serve.env && restart && kept
}

k0s() {
  install -D -m 644 /opt/k0rdent/bin/bundle-ls $storage/k0s/k0s-v1.32.8+k0s.0-amd64 &&
    curl -sSf "http://$registry/k0s/k0s-v1.32.8-k0s.0-amd64" | cmp - /opt/k0rdent/bin/bundle-ls
}

collected() {
  systemctl stop oci-serve.service && systemctl reset-failed oci-serve.service &&
    setpriv --reuid=oci-serve --regid=oci-serve --clear-groups /opt/k0rdent/bin/oci-serve --gc &&
    setpriv --reuid=oci-serve --regid=oci-serve --clear-groups /opt/k0rdent/bin/oci-serve --scrub &&
    systemctl start oci-serve.service && kept
}

# What is wrong is filed as such; a wrong setting is not tried again and again.
journalled() {
  systemctl stop oci-serve.service && systemctl reset-failed oci-serve.service
  printf 'OCI_SERVE_HTPASSWD=/etc/users\n' >/etc/k0rdent-airgap/oci-serve.env
  # shellcheck disable=SC2016 # a hash, not variables
  echo 'alice:$2y$05$kxH0jQ7XtkyhWxZpxU/0.OOWdP6pNrteF.wRfJnjeprEcvTT3DVXi' >/etc/users
  systemctl start oci-serve.service || return
  journalctl -q --flush --rotate
  journalctl -q -u oci-serve -p warning -o cat | grep -qx 'oci-serve: passwords cross the network unencrypted; use --tls auto' || return
  printf 'OCI_SERVE_WRITE=me\n' >/etc/k0rdent-airgap/oci-serve.env
  ! restart
  [ "$(property ExecMainStatus)" = 2 ] && [ "$(property NRestarts)" = 0 ] && [ "$(property ActiveState)" = failed ]
}

check 'the socket starts the service' activated
check 'the service has no privilege' unprivileged
check 'root and the service may write, nobody else' owners
check 'a bundle is pushed' pushed
check 'no client is refused while the service restarts behind its socket' restarted
check 'data is kept' kept
check 'clients that retry ride out a restart without the socket' alone
check 'a server that hangs is replaced' watched
check 'a certificate is made for this host' encrypted
check 'k0s is served' k0s
check 'garbage is collected by the same user' collected
check 'the journal has priorities, and wrong settings end the service' journalled
systemctl --no-block poweroff
