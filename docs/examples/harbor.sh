#!/bin/sh
# Installs the first host of a site whose registry is Harbor. In Harbor, create the
# project k0rdent-enterprise and a robot account that may push to it. With --plan,
# it only prints what it would do.
set -eu
exec ./install.sh --bundle /media/airgap-bundle-1.2.3.tar.gz --key /media/cosign.pub \
  --external-registry harbor.site.example/k0rdent-enterprise \
  --ca /root/site-ca.pem \
  --username "robot\$k0rdent" --password-file /root/harbor.password "$@"
