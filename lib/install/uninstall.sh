# shellcheck shell=sh
# install.sh --uninstall: what stays depends on the role of this host, and on what was
# there before.

uninstall() {
  present k0s-up k0s-mirror-config
  # The role of this host decides what may be removed. If it is unknown, stop here.
  set -- --reset ${last_controller:+--last-controller}
  # k0rdent is removed first, so no warning about it.
  planned=$(k0s-up "$@" --plan --ignore platform --quiet --format '{{.cluster}} {{.name}} {{.status}}: {{.detail}}' </dev/null) || exit
  case $planned in *'stays preflight '*) stays=yes ;; esac
  [ -n "$stays" ] || present k0rdent-install
  if [ -n "$stays" ] && [ -z "$external" ] && [ -d "$storage/blobs" ]; then kept=yes; fi
  [ -z "$kept" ] || [ -z "$purge" ] || fail 'the hosts of the remaining cluster pull from the registry on this host' \
    'run this without --purge now, and with it once no host pulls from here any more'
  worker=$(ls $units/k0sworker.service /etc/init.d/k0sworker 2>/dev/null || true)
  what="remove k0rdent, k0s and the registry${purge:+ with all that it holds} from this host" gone='k0rdent, k0s and the registry are removed'
  [ -z "$external" ] || what='remove k0rdent and k0s from this host' gone="k0rdent and k0s are removed; the registry $external is as it was"
  [ -z "$stays" ] || what='remove this host from its cluster, which keeps running, and k0s with its data' \
    gone='k0s is removed, and this host has left its cluster, which keeps running'
  if [ -n "$plan" ]; then
    [ -n "$stays" ] || k0rdent-install --uninstall --plan --quiet --format '# {{.name}} {{.status}}: {{.detail}}' </dev/null || [ $? = 75 ]
    printf '%s\n' "$planned" | sed 's/^/# /'
  elif [ -z "$yes" ]; then
    printf 'install.sh: %s? [y/N] ' "$what" >&2
    read -r answer || answer=n
    case $answer in y | Y | yes) ;; *) fail 'nothing was removed' ;; esac
  fi
  begin
  perform uninstall remove "$@"
  [ -z "$plan" ] || return 0
  say "$gone; reboot the host to clear leftover network state"
  [ -z "$worker" ] || say "on a controller, k0s kubectl delete node $(uname -n | tr '[:upper:]' '[:lower:]') removes its Node"
  if [ -n "$kept" ]; then
    say 'this host still serves the registry that the others pull from; install.sh --uninstall once more removes it'
  elif [ -z "$purge" ]; then
    for left in "$storage" "$logs" $state $env; do [ ! -e "$left" ] || say "$left stays, until --uninstall --purge"; done
  fi
}

# remove FLAG…: with these of k0s-up. A failure ends it, since what is left removes the
# rest. The platform is first, unless its cluster keeps running, or no longer answers.
remove() {
  [ -n "$stays" ] || run 'k0rdent-install --uninstall --yes </dev/null || [ $? = 75 ] # it goes with its cluster'
  run "$(quote k0s-up "$@" --yes) </dev/null"
  run "$(quote k0s-mirror-config --remove) </dev/null"
  if [ -n "$kept" ]; then # the registry and what removes it later stay
    [ -z "$plan" ] || echo "# oci-serve keeps serving $storage"
    ! grep -qxF $bin/k0s $state/files 2>/dev/null || run "rm -f $bin/k0s"
    return
  fi
  stop_alone
  served=$(! systemd || systemctl list-unit-files --no-legend oci-serve.service oci-serve.socket | awk '{printf " %s", $1}')
  [ -z "$served" ] || run "systemctl disable --quiet --now$served || ! systemctl is-active --quiet oci-serve.service"
  if [ -n "$purge" ] && [ -d "$storage/blobs" ]; then run "$(quote oci-serve --purge --yes --storage "$storage")"; fi
  # Our files, except what --purge removes: the registry's user and location.
  # shellcheck disable=SC2046 # words
  run "$(quote rm -f $(sed -e "/^user/d; \\|^$env\$|d; p; s/\$/.new/" $state/files 2>/dev/null))"
  if systemd; then run 'systemctl daemon-reload'; fi
  tidy $units/oci-serve.service.d $parts /etc/k0s/containerd.d /etc/k0s
  run "rm -f $state/pushed* $state/extracted* $state/mirrored* $state/up* $state/restart $run/oci-serve.*"
  [ -n "$purge" ] || return 0
  ! grep -qxF user/oci-serve $state/files 2>/dev/null ||
    run 'userdel oci-serve && { ! getent group oci-serve >/dev/null || groupdel oci-serve; } || echo "install.sh: the user oci-serve stays" >&2'
  ! grep -qxF $env $state/files 2>/dev/null || run "rm -f $env"
  tidy "${env%/*}" "$storage" $own # the unit makes the latter wherever the storage is
  run "$(quote rm -rf $state $run "$log" "$logs/oci-serve.log"); rmdir $(quote "$logs") ${state%/*} 2>/dev/null || true"
}

