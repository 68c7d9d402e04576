# A bare host with all that a site has, up to where k0s would bring up a cluster.
# shellcheck disable=SC2034,SC2154 # for the files that load it; hosts and ROOT are set there

# site: a host "a" at 10.55.0.5 with the tools and a bundle in which nothing is
# missing at /media, and a registry that listens on all addresses. k0s stands in.
site() {
  local tool
  hosts
  export MEDIA=$BATS_TEST_TMPDIR/media
  mkdir "$MEDIA"
  mkk0s --claim v1.32.8+k0s.0 --out k0s
  mkbundle --archives 226 --k0s k0s --out "$MEDIA/bundle.tgz"
  for tool in $(tools); do cp "$ROOT/bin/$tool" "$MEDIA/"; done
  there=(PATH=/media:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin K0S_ROOT=/ K0S_LOG=/root/k0s.log)
  host a
  address a 10.55.0.5/24
  ca=/srv/registry/tls/ca.pem
  on a sh -c 'oci-serve --tls auto --storage /srv/registry >/root/serve.json 2>/root/serve.err &
    until [ -s /root/serve.json ]; do kill -0 $!; done'
}

# filled: a site whose registry has the bundle, whose k0s is in place and whose
# containerd would pull from the registry.
filled() {
  site
  on a sh -c "oci-push --to 127.0.0.1:5000 --ca $ca --quiet /media/bundle.tgz &&
    k0s-extract --quiet /media/bundle.tgz && k0s-mirror-config --mirror https://10.55.0.5:5000 --ca $ca --quiet" >/dev/null
  flags=(--registry 10.55.0.5:5000 --ca "$ca" --timeout 2s)
}
