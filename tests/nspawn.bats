#!/usr/bin/env bats
# oci-serve as a service of a real systemd, booted in a container of its own
# (systemd-nspawn) with this host's /usr, no network, and nothing kept. What is
# tried there is in nspawn/inside.sh; each line of its results is a test here.

load lib/helper

# The container boots once, for all tests of this file.
setup_file() {
  local work=$BATS_FILE_TMPDIR
  export RESULTS=$work/out/results
  mkdir -p "$work/out" "$work/sample"
  : >"$RESULTS"
  command -v systemd-nspawn >/dev/null && [ "$(id -u)" = 0 ] || return 0
  make -s -C "$ROOT" install DESTDIR="$work/root" PREFIX=/opt/k0rdent >/dev/null
  ln "$SAMPLE/bundle.tgz" "$work/sample/" 2>/dev/null || cp "$SAMPLE/bundle.tgz" "$work/sample/"
  expected >"$work/sample/expected"
  # The largest blob, as the end of its address.
  jq -r '[.entries[] | select(.kind == "oci") | {repository} + .blobs[]] | max_by(.size) | "\(.repository)/blobs/\(.digest)"' \
    "$SAMPLE/manifest.json" >"$work/sample/largest"
  cat >"$work/test.target" <<'U'
[Unit]
Requires=basic.target test.service
After=basic.target
AllowIsolate=yes
U
  cat >"$work/test.service" <<'U'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStartPre=systemd-sysusers /opt/k0rdent/lib/sysusers.d/oci-serve.conf
ExecStartPre=mkdir -p /etc/k0rdent-airgap
ExecStart=/inside.sh
ExecStopPost=systemctl --no-block poweroff
U
  boot "$work" >"$work/out/console" 2>&1 3>&- || true
}

# boot DIR: returns when the container has powered off. It needs a terminal.
boot() {
  local command
  command=(systemd-nspawn --quiet --register=no --keep-unit --private-network --console=interactive
    --volatile=yes -D / --machine="oci-serve-$$"
    --bind-ro="$1/root/opt/k0rdent:/opt/k0rdent" --bind-ro="$1/sample:/sample" --bind="$1/out:/out"
    --bind-ro="$BATS_SUITE_TMPDIR/bin:/test/bin" --bind-ro="$ROOT/tests/nspawn/inside.sh:/inside.sh"
    --bind-ro="$1/test.target:/etc/systemd/system/test.target" --bind-ro="$1/test.service:/etc/systemd/system/test.service")
  for unit in "$1"/root/opt/k0rdent/lib/systemd/system/*; do
    command+=(--bind-ro="$unit:/etc/systemd/system/${unit##*/}")
  done
  command+=(-b -- systemd.firstboot=off systemd.unit=test.target)
  timeout 240 script -qec "$(printf '%q ' "${command[@]}")" /dev/null </dev/null
}

# said NAME: the container found NAME to be so.
said() {
  need systemd-nspawn script jq
  [ "$(id -u)" = 0 ] || skip 'not root'
  [ -s "$RESULTS" ] || skip "no container boots on this machine: $(tail -n 1 "${RESULTS%/*}/console" | tr -d '\r')"
  grep -qx "ok $1" "$RESULTS" && return
  cat "$RESULTS"
  sed -n "/^# $1/,/^# /p" "${RESULTS%/*}/log" || tail -n 60 "${RESULTS%/*}/console"
  return 1
}

@test "service: the socket starts it" { said 'the socket starts the service'; }
@test "service: it has no privilege" { said 'the service has no privilege'; }
@test "service: a bundle is pushed to it, and its files are its own" { said 'a bundle is pushed'; }
@test "service: no client is refused while it restarts behind its socket" { said 'no client is refused while the service restarts behind its socket'; }
@test "service: what it has is kept" { said 'data is kept'; }
@test "service: clients that retry ride out a restart without the socket" { said 'clients that retry ride out a restart without the socket'; }
@test "service: one that hangs is replaced, one that answers is left alone" { said 'a server that hangs is replaced'; }
@test "service: --tls auto makes a certificate" { said 'a certificate is made for this host'; }
@test "service: k0s is handed out" { said 'k0s is handed out'; }
@test "service: garbage is collected by the same user" { said 'garbage is collected by the same user'; }
@test "service: the journal has priorities, and a wrong setting is not tried again" { said 'the journal has priorities, and wrong settings end the service'; }
