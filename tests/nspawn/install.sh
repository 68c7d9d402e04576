#!/usr/bin/env bash
# Runs in a booted container: install.sh from the release archive, with nothing
# else on the host, until the platform is ready; ended in the middle, again, and
# taken away.
# shellcheck source=/dev/null
. /nspawn/check.bash
log=/var/log/k0rdent-airgap/install.ndjson
storage=/var/lib/k0rdentd/registry

# The network of a site without the internet.
ip link add eth0 type veth peer name nowhere
ip addr add 10.0.0.5/24 dev eth0
ip link set eth0 up
ip link set nowhere up
hostname site
export K0S_ROOT=/ K0S_LOG=/tmp/k0s.log
# k0s brings up a real control plane, whose nodes and controller are played.
# shellcheck disable=SC2016 # for the shell of the stand-in
export K0S_START='systemd-run --quiet --collect --unit=plane /media/cluster.test -test.run TestServe -test.timeout 0 \
  "$2/pki/admin.conf" /media/plane 127.0.0.1:5000/k0rdent-enterprise /var/lib/k0rdentd/registry/tls/ca.pem'
export K0S_STOP='systemctl stop plane'

script() { sh /media/release/install.sh "$@"; }
whole=(--bundle /media/bundle.tgz --key /media/cosign.pub)
# k0s's cgroups are version 2 on a host of today, memory more.
last=(-- --ignore 'system,memory,disk')

# looks: every file of the host that is not systemd's own, with its time.
looks() {
  find /etc /opt /root /srv /usr/local /var ! -type d ! -path '/var/log/journal/*' ! -path '/var/lib/systemd/*' ! -path '/etc/machine-id' \
    ! -path '/etc/passwd*' ! -path '/etc/group*' ! -path '/etc/*shadow*' ! -path /etc/.pwd.lock ! -path '/etc/sub?id*' ! -path /etc/.updated ! -path /var/.updated \
    -printf '%p %y %m %T@ %s\n' | sort
}

# users: who there is.
users() { getent passwd | sort && getent group | sort; }

# steps FILE: "name status" of k0rdent-install's last run in a log.
steps() { jq -r 'select(.kind == "step" and .by == null) | "\(.name) \(.status)"' "$1"; }

planned() {
  script "${whole[@]}" --plan "${last[@]}" && looks >/tmp/now && diff /tmp/before /tmp/now &&
    ! systemctl cat oci-serve.service >/dev/null 2>&1 && ! getent passwd oci-serve
}

# struck STEP: runs all of it as a unit of its own, and kills that with all that
# belongs to it in the middle of a step.
struck() {
  rm -f /tmp/said
  systemd-run --quiet --collect --unit=installer --property=StandardError=file:/tmp/said \
    --setenv=K0S_ROOT="$K0S_ROOT" --setenv=K0S_START="$K0S_START" --setenv=K0S_STOP="$K0S_STOP" --setenv=K0S_LOG="$K0S_LOG" \
    sh /media/release/install.sh "${whole[@]}" "${last[@]}" || return
  for _ in {1..1500}; do
    if grep -qs "$1" /tmp/said || ! systemctl -q is-active installer; then break; fi
    sleep 0.04
  done
  grep -qs "$1" /tmp/said || { cat /tmp/said; journalctl -q --no-pager -n 30; return 1; }
  systemctl kill --signal=KILL installer
  until ! systemctl -q is-active installer; do sleep 0.02; done
}

killed() {
  struck 'step push' && [ "$(property ActiveState)" = active ] &&
    struck 'k0s-start done' && struck 'helm done'
}

installed() {
  script "${whole[@]}" "${last[@]}" 2>&1 >/dev/null | tee /tmp/report &&
    grep -qx '  release   1.2.3, as its vendor signed it' /tmp/report &&
    [ "$(steps $log | tail -n 1)" = 'report unchanged' ] && steps $log | grep -qx -e 'ready done' -e 'ready unchanged' &&
    diff /media/expected <(audit $storage) && jq -e . $log >/dev/null
}

served() {
  [ "$(property ActiveState)$(property UnitFileState)" = activeenabled ] &&
    [ "$(stat -c %U "/proc/$(property MainPID)")" = oci-serve ] &&
    [ "$(find $storage ! -user oci-serve ! -path "$storage/k0s*" | wc -l)" = 0 ] &&
    curl -sSf --cacert $storage/tls/ca.pem "https://10.0.0.5:5000/k0s/k0s-v1.32.8-k0s.0-amd64" | cmp - /usr/local/bin/k0s &&
    systemctl restart oci-serve && curl -sSf --cacert $storage/tls/ca.pem https://10.0.0.5:5000/healthz
}

again() {
  local pid
  pid=$(property MainPID)
  looks >/tmp/first && script "${whole[@]}" "${last[@]}" 2>/tmp/err >/dev/null && looks >/tmp/second &&
    diff <(known /tmp/first) <(known /tmp/second) && [ "$pid" = "$(property MainPID)" ] &&
    [ "$(grep -c '^\[.*exists' /tmp/err)" = "$(wc -l </media/expected)" ] &&
    [ "$(steps $log | tail -n 11 | grep -cv -e ' unchanged' -e ' skipped')" = 0 ]
}

# known FILE: without what changes by itself.
known() { grep -v -e /log/ -e install/pushed -e /var/lib/k0s/ "$1"; }

# A newer oci-serve is started, once it lies there.
renewed() {
  local pid
  pid=$(property MainPID)
  cp -r /media/release /tmp/release
  printf newer >>/tmp/release/bin/oci-serve
  sh /tmp/release/install.sh --only tools && [ "$(property MainPID)" = "$pid" ] &&
    sh /tmp/release/install.sh --only serve && [ "$(property MainPID)" != "$pid" ] &&
    [ "$(readlink "/proc/$(property MainPID)/exe")" = /usr/local/bin/oci-serve ] &&
    diff /media/expected <(audit $storage)
}

removed() {
  script --uninstall --plan >/tmp/plan && grep -qx '/etc/systemd/system/oci-serve.service' /tmp/plan && grep -q '^k0s-reset planned' /tmp/plan &&
    script --uninstall --yes 2>/tmp/err >/dev/null && cat /tmp/err &&
    ! systemctl cat oci-serve.service >/dev/null 2>&1 && ! systemctl -q is-active plane &&
    looks | grep -v -e "^$storage/" -e '^/var/log/k0rdent-airgap/' -e '^/var/lib/k0rdentd/install/' >/tmp/now && diff /tmp/before /tmp/now &&
    grep -q "$storage stays" /tmp/err && grep -q '/var/log/k0rdent-airgap stays' /tmp/err && grep -q '/var/lib/k0rdentd/install stays' /tmp/err &&
    diff /media/expected <(audit $storage)
}

purged() {
  script --uninstall --purge --yes && looks >/tmp/now && diff /tmp/before /tmp/now && users | diff /tmp/users - &&
    [ -z "$(ls -A /run/k0rdent-airgap /var/lib/k0rdentd /var/log/k0rdent-airgap /etc/k0s 2>/dev/null)" ] &&
    [ -z "$(find / -xdev -name '*.new' 2>/dev/null)" ]
}

# refused: the registry does not start, and says so: somebody else has the port.
refused() {
  local status=0
  script --only serve 2>/tmp/err || status=$?
  cat /tmp/err
  [ $status = 75 ] && grep -q 'oci-serve: listen tcp4 0.0.0.0:5443: bind: address already in use' /tmp/err
}

# Elsewhere, and where it cannot be.
elsewhere() {
  export K0RDENTD_REGISTRY_STORAGE=/srv/registry K0RDENTD_REGISTRY_PORT=5443
  script "${whole[@]}" -- --plan "${last[@]:1}" && [ "$(property ActiveState)" = active ] &&
    [ "$(stat -c %U /srv/registry)" = oci-serve ] && diff /media/expected <(audit /srv/registry) &&
    systemctl stop oci-serve && {
      systemd-run --quiet --collect --unit=other /usr/local/bin/oci-serve --port 5443 --storage /srv/other
      eventually curl -sf http://127.0.0.1:5443/healthz &&
        refused && systemctl stop other oci-serve && rm -r /srv/other
    } && unset K0RDENTD_REGISTRY_STORAGE K0RDENTD_REGISTRY_PORT && purged
}

mkdir -p /opt /srv /root
looks >/tmp/before
users >/tmp/users
check 'a plan changes nothing' planned
check 'it is killed in the middle, three times' killed

check 'the next run completes, and the platform is ready' installed
check 'the registry is a service' served
check 'a further run changes nothing' again
check 'a newer oci-serve is started' renewed
check 'all is taken away but what is told' removed
check 'and with --purge that, too' purged
check 'another storage and port, and a port in use' elsewhere
systemctl --no-block poweroff
