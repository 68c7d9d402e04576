#!/bin/sh
# Runs after unpacking: dpkg calls it with "configure", rpm with the number of
# installed versions. It starts nothing that was not running.
set -e
case $1 in
configure | [1-9]*) ;;
*) exit 0 ;;
esac

if command -v systemd-sysusers >/dev/null; then
  systemd-sysusers oci-serve.conf
elif ! getent passwd oci-serve >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /var/lib/k0rdentd/registry \
    --shell /usr/sbin/nologin --comment 'OCI registry of the site' oci-serve
fi

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # After an upgrade; with oci-serve.socket no client is refused during the restart.
  systemctl try-restart oci-serve.service
fi
