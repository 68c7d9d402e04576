#!/usr/bin/env bash
# Writes a release to DIST (default dist/): for each of ARCHES an archive, a deb
# and an rpm, then SHA256SUMS, and SHA256SUMS.sig if KEY names a private key. The
# same tree, RELEASE and SOURCE_DATE_EPOCH result in the same bytes but for the
# signature; in a git clone the last two default to the last tag and commit.
set -euo pipefail
umask 022
KEY=${KEY:+$(realpath "$KEY")}
cd "$(dirname "$0")/.."
dist=${DIST:-dist}

# version prints RELEASE, or the last tag with the number of commits since and the
# current commit: a semantic version that package managers sort correctly.
version() {
  local described
  if [ -n "${RELEASE-}" ]; then
    echo "${RELEASE#v}"
  elif described=$(git describe --tags --match 'v[0-9]*' --dirty=.dirty 2>/dev/null); then
    sed -E 's/^v//; s/-([0-9]+)-g([0-9a-f]+)/+\1.g\2/' <<<"$described"
  else
    described=$(git describe --always --exclude '*' --dirty=.dirty 2>/dev/null) && echo "0.0.0+$(git rev-list --count HEAD).g$described"
  fi
}
if ! VERSION=$(version) || ! SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null)}; then
  echo 'dist: not a git clone: set RELEASE and SOURCE_DATE_EPOCH' >&2
  exit 2
fi
export VERSION SOURCE_DATE_EPOCH
if [ -n "${KEY-}" ] && ! openssl pkey -in "$KEY" -noout; then
  echo "dist: $KEY is not a private key in PEM form" >&2
  exit 2
fi
# A build must not depend on the presence of git.
export GOFLAGS="${GOFLAGS-} -buildvcs=false"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$dist"
rm -f "$dist"/*.tar.gz "$dist"/*.deb "$dist"/*.rpm "$dist"/SHA256SUMS{,.sig}
CGO_ENABLED=0 go -C packaging build -o "$work/" ./sbom ./notices github.com/goreleaser/nfpm/v2/cmd/nfpm

# files DIR installs everything below DIR/usr and DIR/etc, documents included.
files() {
  local doc=$1/usr/share/doc/k0rdent-airgap
  make -s files BIN="$bin" DESTDIR="$1" PREFIX=/usr SYSCONFDIR=/etc
  mkdir -p "$doc"
  cp README.md CHANGELOG.md "$work/copyright" "$doc"
  cp -r "$work/sbom-$ARCH" "$doc/sbom"
}

# archive DIR writes the tools, their pages and completions, and what install.sh
# needs.
archive() {
  mkdir "$1"
  cp -r "$STAGE/usr/share" lib/systemd "$1"
  cp -r "$bin" "$1/bin"
  cp LICENSE README.md CHANGELOG.md "$1"
  install install.sh download.sh "$1"
}

for ARCH in ${ARCHES:-amd64 arm64}; do
  export ARCH STAGE=$work/stage-$ARCH
  bin=$work/bin-$ARCH
  name=k0rdent-airgap-$VERSION-linux-$ARCH
  GOOS=linux GOARCH=$ARCH make -s build BIN="$bin" RELEASE="v$VERSION"

  mkdir "$work/sbom-$ARCH"
  for tool in "$bin"/*; do
    "$work/sbom" "${tool##*/}" "$VERSION" "$tool" >"$work/sbom-$ARCH/${tool##*/}.cdx.json"
  done
  { cat LICENSE && printf '\n\n' && "$work/notices" "$bin"/*; } >"$work/copyright"

  files "$STAGE"
  archive "$work/$name"
  chmod -R u+rwX,go+rX,go-w "$STAGE" "$work/$name"
  tar -C "$work" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    -c "$name" | gzip -n >"$dist/$name.tar.gz"
  find "$STAGE" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  for packager in deb rpm; do
    "$work/nfpm" package --config packaging/nfpm.yaml --packager $packager --target "$dist"
  done
done
cd "$dist"
sha256sum ./*.tar.gz ./*.deb ./*.rpm | sed 's, \./, ,' >SHA256SUMS
# The form of `cosign sign-blob`: the base64 of an ECDSA signature of the SHA-256.
[ -z "${KEY-}" ] || openssl dgst -sha256 -sign "$KEY" SHA256SUMS | base64 -w 0 >SHA256SUMS.sig
ls -l
