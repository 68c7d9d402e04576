#!/usr/bin/env bats
# The services as seen by systemd's own programs: the units, and a socket that another
# program has opened.
# shellcheck disable=SC2154 # output is set by run

load lib/helper

# installed: the units as make install puts them, over a root of their own.
installed() {
  make -s -C "$ROOT" install DESTDIR="$PWD/root" PREFIX=/usr >/dev/null
  units=$PWD/root/usr/lib/systemd/system
}

@test "systemd: systemd accepts the units" {
  need systemd-analyze
  installed
  # The program and the page are where the units say, and nothing is unknown.
  sed -i "s,/usr/bin/,$PWD/root/usr/bin/,; /^Documentation=/d" "$units"/*
  run -0 systemd-analyze --man=no verify "$units"/*
  [ "$(grep -e oci- <<<"$output")" = '' ]
}

@test "systemd: the services have little exposure" {
  local service
  need systemd-analyze
  for service in "$ROOT"/lib/systemd/*.service; do
    # In tenths: at most 2.0 of 10.
    run -0 systemd-analyze security --offline=true --no-pager --threshold=20 "$service"
    echo "$output" | tail -n 1
    # No capability at all, and no other user's files.
    [ "$(grep -c '^✗.*CapabilityBoundingSet' <<<"$output")" = 0 ]
    [ "$(grep -c '^✗.*User=' <<<"$output")" = 0 ]
  done
}

@test "systemd: the unit, the settings and the tool agree" {
  local name tool
  installed
  # The state directory is the default storage.
  grep -qx 'StateDirectory=k0rdentd/registry' "$units/oci-serve.service"
  oci-serve --help | grep -q -- '--storage DIR .*(default /var/lib/k0rdentd/registry)'
  grep -qx 'ExecStart=/usr/bin/oci-serve' "$units/oci-serve.service"
  grep -qx 'u oci-serve - .*' root/usr/lib/sysusers.d/oci-serve.conf
  grep -qx 'User=oci-serve' "$units/oci-serve.service"
  # Each setting is a flag.
  settings=$(sed -n 's/^#\(OCI_[A-Z_]*\)=.*/\1/p' root/etc/k0rdent-airgap/*.env)
  [ "$(wc -l <<<"$settings")" -ge 17 ]
  for name in $settings; do
    case $name in
    OCI_SERVE_*) tool=oci-serve name=${name#OCI_SERVE_} ;;
    *) tool=oci-push name=${name#OCI_PUSH_} ;;
    esac
    name=${name//_/-}
    $tool --help | grep -q -- "^  --${name,,} "
  done
  # Existing settings are kept.
  echo OCI_SERVE_PORT=1 >root/etc/k0rdent-airgap/oci-serve.env
  installed
  [ "$(cat root/etc/k0rdent-airgap/oci-serve.env)" = OCI_SERVE_PORT=1 ]
}

@test "systemd: a socket opened by systemd is served from the first connection on" {
  local port
  need systemd-socket-activate curl
  # It rejects port 0, so a free one has to be found.
  until grep -qs 'Listening on' activate.err; do
    if [ ${#servers[@]} = 0 ] || ! kill -0 "${servers[-1]}" 2>/dev/null; then
      port=$((20000 + RANDOM % 10000))
      systemd-socket-activate -l 127.0.0.1:$port oci-serve --storage storage 2>activate.err 3>&- &
      servers+=($!)
    fi
    sleep 0.05
  done
  registry=localhost:$port
  [ ! -e storage ]
  [ "$(curl -s --max-time 10 "http://$registry/healthz")" = ok ]
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  same "$(expected)" "$(published)"
}
