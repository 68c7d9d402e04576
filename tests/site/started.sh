#!/bin/sh
# What the stand-in for k0s has running once its service has started, in a site of
# run.sh: on the first host a control plane, whose API server is reached through the
# port 6443 of that host too; on a worker what its kubelet does first, with the
# kubeconfig that it gets for its token: it registers the node, which kwok keeps.
#
#   started.sh ROLE DATA ADDRESS   k0s's data directory, the first host's address
set -eu
role=$1 data=$2 address=$3 carried=/carried/api

case $role in
controller)
  rm -f "$data/pki/admin.conf"
  systemd-run --quiet --collect --unit=plane /media/plane/cluster.test -test.run TestServe -test.timeout 0 \
    "$data/pki/admin.conf" /media/plane 127.0.0.1:5000/k0rdent-enterprise /var/lib/k0rdentd/registry/tls/ca.pem
  systemd-run --quiet --collect --unit=api --property=BindsTo=plane.service sh "$0" api "$data" "$address"
  ;;
api)
  until [ -s "$data/pki/admin.conf" ]; do sleep 0.2; done
  server=$(sed -n 's,.*server: "https://\([^"]*\)".*,\1,p' "$data/pki/admin.conf")
  mkdir -p $carried
  cp "$data/pki/plane/apiserver.crt" $carried/ca.crt
  # Its certificate is for 127.0.0.1.
  sed "s|server: .*|server: \"https://$address:6443\", tls-server-name: 127.0.0.1, certificate-authority: $carried/ca.crt}}]|" \
    "$data/pki/admin.conf" >$carried/kubelet.conf
  exec systemd-socket-activate --listen="$address:6443" /usr/lib/systemd/systemd-socket-proxyd "$server"
  ;;
worker)
  cp $carried/kubelet.conf "$data/"
  token=$(sed -n 's/.*token: \([^}]*\)}.*/\1/p' $carried/kubelet.conf)
  curl --silent --show-error --fail --output /dev/null --cacert $carried/ca.crt --connect-to "::$address:6443" \
    --header "Authorization: Bearer $token" --json "{\"metadata\":{\"name\":\"$(uname -n)\"}}" https://127.0.0.1/api/v1/nodes
  ;;
esac
