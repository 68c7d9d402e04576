#!/usr/bin/env bash
# Runs in a booted container: install.sh from the release archive, with nothing
# else on the host, until the platform is ready; ended in the middle, again, and
# removed. Then the same by hand, with the commands of the guide.
# shellcheck source=/dev/null
. /nspawn/check.bash
# shellcheck source=/dev/null
. /media/guide.bash
export GUIDE=/media/k0rdent-airgap.7
log=/var/log/k0rdent-airgap/install.ndjson
storage=/var/lib/k0rdentd/registry

# The network of a site without the internet.
ip link add eth0 type veth peer name nowhere
ip addr add 10.0.0.5/24 dev eth0
ip link set eth0 up
ip link set nowhere up
ip route add default via 10.0.0.1
echo nameserver 10.0.0.5 >/etc/resolv.conf
hostname site
export K0S_ROOT=/ K0S_LOG=/tmp/k0s.log
# k0s brings up a real control plane, whose nodes and controller are played.
# shellcheck disable=SC2016 # for the shell of the stand-in
export K0S_START='systemd-run --quiet --collect --unit=plane /media/cluster.test -test.run TestServe -test.timeout 0 \
  "$2/pki/admin.conf" /media/plane 127.0.0.1:5000/k0rdent-enterprise /var/lib/k0rdentd/registry/tls/ca.pem'
export K0S_STOP='systemctl stop plane'
# A host of today has cgroups of version 2, and more memory and disk.
export K0RDENT_INSTALL_IGNORE=memory,disk K0S_UP_IGNORE=system,memory
# What does not become ready is reported before the container's time is up.
export K0RDENT_INSTALL_TIMEOUT=120s K0S_UP_TIMEOUT=120s

script() { sh /media/release/install.sh "$@"; }
whole=(--bundle /media/usb/airgap-bundle-1.2.3.tar.gz --key /media/usb/cosign.pub)

# typed SECTION N: an example of the guide, in a directory with all that it names.
typed() {
  guide "$1" "$2" >/tmp/typed && [ -s /tmp/typed ] && (cd /tmp/carried && bash -euxo pipefail /tmp/typed)
}

# looks: every file of the host that is not systemd's own, with its time.
looks() {
  find /etc /opt /root /srv /usr/local /var ! -type d ! -path '/var/log/journal/*' ! -path '/var/lib/systemd/*' ! -path '/etc/machine-id' \
    ! -path '/etc/passwd*' ! -path '/etc/group*' ! -path '/etc/*shadow*' ! -path /etc/.pwd.lock ! -path '/etc/sub?id*' ! -path /etc/.updated ! -path /var/.updated \
    -printf '%p %y %m %T@ %s\n' | sort
}

# users: who there is.
users() { getent passwd | sort && getent group | sort; }

# steps: "name status" of k0rdent-install's steps in the log.
steps() { jq -r 'select(.kind == "step" and .by == null) | "\(.name) \(.status)"' $log; }

# release: the one that the platform is ready with.
release() { jq -rs 'map(select(.name == "report").detail)[-1]' "$1" | grep -o 'release kcm-[0-9-]*'; }

planned() {
  script "${whole[@]}" --plan && looks >/tmp/now && diff /tmp/before /tmp/now &&
    ! systemctl cat oci-serve.service >/dev/null 2>&1 && ! getent passwd oci-serve
}

# struck TEXT: runs all of it as a unit of its own, and kills that with all that
# belongs to it when it has said TEXT.
runs=0
struck() {
  local unit=installer$((++runs))
  rm -f /tmp/said
  systemd-run --quiet --collect --unit="$unit" --property=StandardError=file:/tmp/said \
    --setenv={K0S_ROOT,K0S_START,K0S_STOP,K0S_LOG,K0RDENT_INSTALL_IGNORE,K0S_UP_IGNORE} sh /media/release/install.sh "${whole[@]}" || return
  for _ in {1..1500}; do
    if grep -qs "$1" /tmp/said || ! systemctl -q is-active "$unit"; then break; fi
    sleep 0.04
  done
  grep -qs "$1" /tmp/said || { cat /tmp/said; journalctl -q --no-pager -n 30; return 1; }
  systemctl kill --signal=KILL "$unit"
  until ! systemctl -q is-active "$unit"; do sleep 0.02; done
}

killed() {
  struck '] push$' && [ "$(property ActiveState)" = active ] &&
    struck 'k0s-start done' && struck 'helm done'
}

installed() {
  typed 'A SITE WITH ONE HOST' 1 2>&1 >/tmp/plan | tee /tmp/report && grep -q '| k0s-up .*--registry 10.0.0.5:5000/k0rdent-enterprise' /tmp/plan &&
    grep -q '^release  *1.2.3, signature verified$' /tmp/report &&
    grep -q "^registry CA  *$storage/tls/ca.pem, for other clients of https://10.0.0.5:5000/" /tmp/report && grep -q '^another node  *install.sh --export-worker' /tmp/report &&
    script --status >/tmp/status && grep -q '^registry  *https://10.0.0.5:5000/k0rdent-enterprise, served by' /tmp/status && grep -q '^last run  *step install done at ' /tmp/status &&
    [ "$(steps | tail -n 1)" = 'report unchanged' ] && steps | grep -qx -e 'ready done' -e 'ready unchanged' &&
    diff /media/expected <(audit $storage) && jq -e . $log >/dev/null &&
    # k0s-up could remove it all alone.
    [ "$(jq -r '.files[].path' /var/lib/k0rdentd/install.json | grep -c -e '^/usr/local/bin/k0s$' -e '^/etc/k0s/containerd.d/')" = 2 ]
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
  looks >/tmp/first && script "${whole[@]}" 2>/tmp/err >/dev/null && looks >/tmp/second &&
    diff <(known /tmp/first) <(known /tmp/second) && [ "$pid" = "$(property MainPID)" ] &&
    [ "$(grep -c '^\[.*exists' /tmp/err)" = "$(wc -l </media/expected)" ] &&
    [ "$(steps | tail -n 11 | grep -cv -e ' unchanged' -e ' skipped')" = 0 ]
}

# known FILE: without what changes by itself.
known() { grep -v -e /log/ -e install/pushed -e install/extracted -e install/mirrored -e install/up -e /var/lib/k0s/ "$1"; }

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

upgraded() {
  typed 'A NEW RELEASE' 1 >/tmp/records && [ "$(release /tmp/records)" = 'release kcm-1-3-0' ] &&
    script --bundle /media/usb/airgap-bundle-1.3.0.tar.gz --key /media/usb/cosign.pub 2>/dev/null &&
    [ "$(steps | tail -n 11 | grep -cv -e ' unchanged' -e ' skipped')" = 0 ] && [ "$(release $log)" = 'release kcm-1-3-0' ]
}

removed() {
  script --uninstall --plan >/tmp/plan && grep -q '^rm -f .* /etc/systemd/system/oci-serve.service' /tmp/plan && grep -q '^# *k0s-reset planned' /tmp/plan &&
    script --uninstall --yes 2>/tmp/err >/dev/null && cat /tmp/err && ! grep -i 'not loaded' /tmp/err &&
    { script --status || true; } | grep -qx 'node  *k0s is not installed' &&
    ! systemctl cat oci-serve.service >/dev/null 2>&1 && ! systemctl -q is-active plane &&
    looks | grep -v -e "^$storage/" -e '^/var/log/k0rdent-airgap/' -e '^/var/lib/k0rdentd/install/' -e '^/etc/k0rdent-airgap/oci-serve.env ' >/tmp/now && diff /tmp/before /tmp/now &&
    grep -q "$storage stays" /tmp/err && grep -q 'oci-serve.env stays' /tmp/err && grep -q '/var/log/k0rdent-airgap stays' /tmp/err && grep -q '/var/lib/k0rdentd/install stays' /tmp/err &&
    cmp <(audit $storage | grep -F -f /media/expected) /media/expected && [ -e $storage/k0s/k0s-v1.32.8+k0s.0-amd64 ]
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
  [ $status = 75 ] && grep -q '^install.sh: port 5443 is in use by oci-serve (process [0-9]*)$' /tmp/err && ! grep -q 'hint: .*--port' /tmp/err
}

# Elsewhere, and where it cannot be.
elsewhere() {
  export K0RDENTD_REGISTRY_STORAGE=/srv/registry K0RDENTD_REGISTRY_PORT=5443
  mkdir /srv/registry && touch /srv/registry/mine
  ! script "${whole[@]}" -- --plan 2>/tmp/err && grep -q '/srv/registry contains other files' /tmp/err && [ "$(stat -c %U /srv/registry/mine)" = root ] &&
    rm /srv/registry/mine || return
  script "${whole[@]}" -- --plan && [ "$(property ActiveState)" = active ] &&
    [ "$(stat -c %U /srv/registry)" = oci-serve ] && diff /media/expected <(audit /srv/registry) &&
    systemctl stop oci-serve && {
      systemd-run --quiet --collect --unit=other /usr/local/bin/oci-serve --port 5443 --storage /srv/other
      eventually curl -sf http://127.0.0.1:5443/healthz &&
        refused && systemctl stop other oci-serve && rm -r /srv/other
    } && unset K0RDENTD_REGISTRY_STORAGE K0RDENTD_REGISTRY_PORT && purged
}

mkdir -p /opt /srv /root
# Tools and service as a package brings them, and each step by hand.
by_hand() {
  cp -r /media/packaged/* /usr/local/ && mkdir -p /etc/k0rdent-airgap && cp /media/oci-serve.env /etc/k0rdent-airgap &&
    systemd-sysusers /usr/local/lib/sysusers.d/oci-serve.conf && systemctl daemon-reload &&
    typed 'A SITE WITH ONE HOST' 2 >/tmp/records && [ "$(release /tmp/records)" = 'release kcm-1-2-3' ] &&
    diff /media/expected <(audit $storage)
}

# What the guide takes for granted.
mkdir /tmp/carried
cp /media/*.tar.gz /media/usb/airgap-bundle-1.3.0.tar.gz* /media/usb/cosign.pub /tmp/carried
ln -s /media/release/install.sh /tmp/carried/
ln -s /media/usb/airgap-bundle-1.2.3.tar.gz /tmp/carried/bundle.tgz
ln -s /media/usb/airgap-bundle-1.2.3.tar.gz.sig /tmp/carried/bundle.tgz.sig

looks >/tmp/before
users >/tmp/users
check 'a plan changes nothing' planned
check 'it is killed in the middle, three times' killed

check 'the next run completes, and the platform is ready' installed
check 'the registry is a service' served
check 'another run changes nothing' again
check 'a newer oci-serve is started' renewed
check 'a new release' upgraded
check 'everything but what is listed is removed' removed
check '--purge removes that, too' purged
check 'another storage and port, and a port in use' elsewhere
check 'the same by hand' by_hand
systemctl --no-block poweroff
