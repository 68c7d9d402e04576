#!/bin/sh
# After removal; "purge" is dpkg's word for taking everything away. The content
# of the registry is not the package's to throw away, and nor is its user then.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
[ "$1" = purge ] || exit 0

registry=/var/lib/k0rdentd/registry
if [ -d $registry ] && [ -n "$(ls -A $registry)" ]; then
  echo "k0rdent-airgap: $registry and the user oci-serve stay; remove them if the registry's content is of no use any more" >&2
  exit 0
fi
rmdir $registry /var/lib/k0rdentd 2>/dev/null || true
if getent passwd oci-serve >/dev/null && command -v userdel >/dev/null; then
  userdel oci-serve
fi
