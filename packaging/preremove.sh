#!/bin/sh
# Runs before removal, not before an upgrade: dpkg calls it with "remove", rpm with 0.
set -e
case $1 in
remove | 0) ;;
*) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
  systemctl --no-reload disable --now oci-push-sync.timer oci-serve.socket oci-serve.service
fi
