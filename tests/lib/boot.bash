# A container in which a real systemd boots (systemd-nspawn): this host's /usr, no
# network, and nothing kept. A script of tests/nspawn runs there; each line of its
# results is a test here.

# boot SCRIPT [FLAG…]: runs a script of tests/nspawn as root in a container, with
# more flags of systemd-nspawn, and returns when the container has powered off. Once
# for all tests of a file. The script's /out is $BATS_FILE_TMPDIR/out.
boot() {
  local work=$BATS_FILE_TMPDIR script=$1
  local command
  shift
  export RESULTS=$work/out/results
  mkdir -p "$work/out"
  : >"$RESULTS"
  command -v systemd-nspawn >/dev/null && [ "$(id -u)" = 0 ] || return 0
  cat >"$work/test.target" <<'U'
[Unit]
Requires=basic.target test.service
After=basic.target
AllowIsolate=yes
U
  cat >"$work/test.service" <<U
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/nspawn/$script
ExecStopPost=systemctl --no-block poweroff
U
  command=(systemd-nspawn --quiet --register=no --keep-unit --private-network --console=interactive
    --volatile=yes -D / --machine="test-$$"
    --bind-ro=/etc/alternatives --bind-ro="$ROOT/tests/nspawn:/nspawn" --bind-ro="$PREPARED/bin:/test/bin" --bind="$work/out:/out" "$@"
    --bind-ro="$work/test.target:/etc/systemd/system/test.target" --bind-ro="$work/test.service:/etc/systemd/system/test.service"
    -b -- systemd.firstboot=off systemd.unit=test.target)
  # It needs a terminal.
  timeout 900 script -qec "$(printf '%q ' "${command[@]}")" /dev/null </dev/null >"$work/out/console" 2>&1 3>&- || true
}

# passed NAME: the check NAME passed in the container.
passed() {
  need systemd-nspawn script jq
  [ "$(id -u)" = 0 ] || skip 'not root'
  [ -e "${RESULTS%/*}/log" ] || skip "no container boots on this machine: $(tail -n 1 "${RESULTS%/*}/console" | tr -d '\r')"
  grep -qx "ok $1" "$RESULTS" && return
  cat "$RESULTS"
  sed -n "/^# $1/,/^# /p" "${RESULTS%/*}/log" || tail -n 60 "${RESULTS%/*}/console"
  return 1
}
