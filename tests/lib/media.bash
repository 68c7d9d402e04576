# What is carried into a site in tests: the tools as a release archive has them,
# two releases of a sample bundle with signatures and a key, and a real control
# plane for the stand-in for k0s to start.

# missing: the first of the programs for the control plane that is not built; "" if
# all are.
missing() {
  local tool
  for tool in kube cluster.test; do
    [ -x "$ROOT/.cache/bin/$tool" ] || { echo "$tool"; return; }
  done
}

# release DIR: the tools and install.sh, as the release archive has them.
release() {
  local tool
  mkdir -p "$1/bin"
  for tool in "$ROOT"/cmd/*; do cp "$ROOT/bin/${tool##*/}" "$1/bin"; done
  cp -r "$ROOT"/{install.sh,download.sh,lib/install,lib/systemd} "$1"
}

# bundles DIR RELEASE…: a signed sample bundle for each release, the newest one's
# content listed in DIR/manifest.json, and the key as DIR/cosign.pub.
bundles() {
  local dir=$1 key version
  shift
  mkdir -p "$dir"
  key=$(mktemp)
  openssl ecparam -name prime256v1 -genkey -noout -out "$key"
  openssl ec -in "$key" -pubout -out "$dir/cosign.pub" 2>/dev/null
  for version in "$@"; do
    mkbundle --k0s stand-in --release "$version" --out "$dir/airgap-bundle-$version.tar.gz" --manifest "$dir/manifest.json"
    openssl dgst -sha256 -sign "$key" "$dir/airgap-bundle-$version.tar.gz" | base64 -w0 >"$dir/airgap-bundle-$version.tar.gz.sig"
  done
  rm "$key"
}

# plane DIR: the programs of a control plane, and what starts them.
plane() {
  local bin=$ROOT/.cache/bin
  mkdir -p "$1"
  cp -al "$bin/cluster.test" "$1/" 2>/dev/null || cp "$bin/cluster.test" "$1/"
  cp -a "$bin"/{kube,etcd,kube-apiserver,kube-controller-manager,kube-scheduler,kwok} "$1/"
}
