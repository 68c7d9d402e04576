#!/usr/bin/env bash
# Makes what is released into DIST (default dist/): for each of ARCHES an archive,
# a deb and an rpm, and SHA256SUMS. The same tree, RELEASE and SOURCE_DATE_EPOCH
# give the same bytes, wherever and whenever; in a git clone the last two
# come from the last tag and commit.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."
dist=${DIST:-dist}

# version: of RELEASE, or of the last tag, how many commits ago that was, and
# which commit this is. Semantic versions, which packages sort rightly.
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
  echo 'dist: this is no git clone, so RELEASE and SOURCE_DATE_EPOCH must tell the version and its time' >&2
  exit 2
fi
export VERSION SOURCE_DATE_EPOCH
# What the build finds of git must not make a difference.
export GOFLAGS="${GOFLAGS-} -buildvcs=false"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$dist"
rm -f "$dist"/*.tar.gz "$dist"/*.deb "$dist"/*.rpm "$dist"/SHA256SUMS
CGO_ENABLED=0 go -C packaging build -o "$work/" ./sbom ./notices github.com/goreleaser/nfpm/v2/cmd/nfpm

# files DIR: what is installed into DIR/usr and DIR/etc, and the papers.
files() {
  local doc=$1/usr/share/doc/k0rdent-airgap
  make -s files BIN="$bin" DESTDIR="$1" PREFIX=/usr SYSCONFDIR=/etc
  mkdir -p "$doc"
  cp README.md CHANGELOG.md "$work/copyright" "$doc"
  cp -r "$work/sbom-$ARCH" "$doc/sbom"
}

# archive DIR: the tools, their pages and completions, and beside them what
# install.sh needs.
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
ls -l
