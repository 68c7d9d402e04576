# shellcheck shell=sh
# The registry of a site: oci-serve, as a service of systemd or without it.

systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }
# renewed: the registry has to be restarted, by the next run if this one is killed.
renewed() { [ -n "$restart" ] || run ": >$state/restart"; restart=yes; }

# step_serve starts the registry, unless it is already running with these settings.
step_serve() {
  if [ -n "$external" ]; then
    [ -z "$plan" ] || echo "# nothing: $external serves"
    return 0
  fi
  # Only an empty directory, or a registry's, is used as storage.
  [ ! -d "$storage" ] || [ -d "$storage/blobs" ] || [ -z "$(find "$storage/" -mindepth 1 ! -name lost+found | head -n 1)" ] ||
    fail "$storage contains other files" 'name an empty directory'
  if systemd; then serve_unit; else serve_alone; fi
  [ -z "$restart" ] || run "rm -f $state/restart"
}

# serve_unit: settings in the operator's environment file override these.
serve_unit() {
  set -- '[Service]' 'Environment="OCI_SERVE_TLS=auto"' "Environment=\"OCI_SERVE_TLS_NAME=$address\"" "Environment=\"OCI_SERVE_HOST=$listen\"" \
    "Environment=\"OCI_SERVE_PORT=$port\"" "Environment=\"OCI_SERVE_STORAGE=$storage\""
  [ "$storage" = $own ] || set -- "$@" "ReadWritePaths=$storage"
  conf=$units/oci-serve.service.d/site.conf
  printf '%s\n' "$@" | cmp -s - $conf || { ours $conf && renewed; }
  write $conf "$@" || true
  if [ "$storage" != $own ] && [ "$(stat -c %U "$storage" 2>/dev/null)" != oci-serve ]; then
    run "$(quote mkdir -p "$storage") && $(quote chown -hR oci-serve: "$storage")"
  fi
  run 'systemctl daemon-reload && systemctl enable --quiet oci-serve.service'
  run "systemctl ${restart:+re}start oci-serve.service" # it is ready when that returns
}

# serve_alone: without systemd, oci-serve runs in the background, as the current user,
# until the host is shut down; it writes its record when it accepts connections.
serve_alone() {
  program=$bin/oci-serve # which stays when what was carried in goes
  [ -x "$program" ] || [ -n "$plan" ] || program=$(command -v oci-serve)
  set -- "$program" --host "$listen" --port "$port" --storage "$storage" --tls auto --tls-name "$address"
  if alone && [ -z "$restart" ] && printf '%s\0' "$@" | cmp -s - "/proc/$pid/cmdline"; then return 0; fi
  stop_alone
  run "$(quote mkdir -p $run "$storage")"
  run "{ $(quote setsid "$@") 2>>$(quote "$logs/oci-serve.log") & } | head -n 1 >$run/oci-serve.record; grep . $run/oci-serve.record"
  [ -n "$plan" ] || say 'without systemd: run install.sh --only serve after each start of this host'
}

# alone reports whether an oci-serve of ours runs without systemd, as process $pid.
alone() {
  pid=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' $run/oci-serve.record 2>/dev/null)
  case $(readlink "/proc/${pid:-none}/exe" || true) in */oci-serve*) ;; *) return 1 ;; esac
}
# stop_alone stops it; transfers have 30 seconds to finish.
stop_alone() { ! alone || run "kill $pid && while [ -e /proc/$pid/exe ]; do sleep 0.1; done"; }

# serve_failed: oci-serve did not start. If another program has the port, root can
# find out which, where the service cannot.
serve_failed() {
  who=$(timeout 2 oci-serve --host "$listen" --port "$port" --storage $state/none.new 2>&1 >/dev/null </dev/null | sed -n 's/^oci-serve: \(port [^:]*\): .*/\1/p')
  [ -z "$who" ] || fail "$who" 'stop that program, or set K0RDENTD_REGISTRY_PORT to another port' 75
  if systemd; then # whose journal is up to date by now
    journalctl -q "_PID=$(systemctl show --value -p ExecMainPID oci-serve.service)" -n 2 -o cat --no-pager >&2
  else
    tail -n 2 "$logs/oci-serve.log" >&2
  fi
  fail 'oci-serve does not start'
}
