#!/bin/sh
# Runs after removal; dpkg calls it with "purge" to remove everything. The registry's
# data does not belong to the package, so it stays, and its user with it.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
[ "$1" = purge ] || exit 0

registry=/var/lib/k0rdentd/registry
if [ -d $registry ] && [ -n "$(ls -A $registry)" ]; then
  echo "k0rdent-airgap: $registry and the user oci-serve stay; remove them if the registry is no longer needed" >&2
  exit 0
fi
rmdir $registry /var/lib/k0rdentd 2>/dev/null || true
if getent passwd oci-serve >/dev/null && command -v userdel >/dev/null; then
  userdel oci-serve
fi
