#!/usr/bin/env bash
# Writes a release to DIST (default dist/): for each of ARCHES an archive, a deb, an
# rpm, an archive of the tools with the FIPS 140-3 module FIPS, and archives of CARRY,
# the tools for hosts that carry bundles, for macOS and Windows; then SHA256SUMS, and
# SHA256SUMS.sig if KEY names a private key. The same tree, RELEASE and
# SOURCE_DATE_EPOCH result in the same bytes but for the signature; in a git clone the
# last two default to the last tag and commit.
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
rm -f "$dist"/*.tar.gz "$dist"/*.zip "$dist"/*.deb "$dist"/*.rpm "$dist"/SHA256SUMS{,.sig}
CGO_ENABLED=0 go -C packaging build -o "$work/" ./sbom ./notices ./zip github.com/goreleaser/nfpm/v2/cmd/nfpm

# build OS [VARIABLE=VALUE…] builds tools for OS and $ARCH into $bin, and writes their
# bills of materials and licences to $papers.
build() {
  local tool name os=$1
  shift
  GOOS=$os GOARCH=$ARCH make -s build BIN="$bin" RELEASE="v$VERSION" "$@"
  mkdir -p "$papers/sbom"
  for tool in "$bin"/*; do
    name=$(basename "$tool" .exe)
    "$work/sbom" "$name" "$VERSION" "$tool" >"$papers/sbom/$name.cdx.json"
  done
  { cat LICENSE && printf '\n\n' && "$work/notices" "$bin"/*; } >"$papers/copyright"
}

# files DIR installs everything below DIR/usr and DIR/etc, documents included.
files() {
  local doc=$1/usr/share/doc/k0rdent-airgap
  make -s files BIN="$bin" DESTDIR="$1" PREFIX=/usr SYSCONFDIR=/etc
  mkdir -p "$doc"
  cp -r README.md CHANGELOG.md "$papers"/* "$doc"
}

# settle DIR makes what is not content the same wherever it is built.
settle() {
  chmod -R u+rwX,go+rX,go-w "$1"
  find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

# archive DIR NAME packs DIR/NAME.
archive() {
  settle "$1/$2"
  tar -C "$1" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner -c "$2" | gzip -n >"$dist/$2.tar.gz"
}

# linux [VARIANT [VARIABLE=VALUE…]] writes the archive of all tools, with their pages
# and completions, and what install.sh needs. It leaves what packages install in $STAGE.
linux() {
  local variant=${1-} name=k0rdent-airgap-$VERSION-linux-$ARCH${1:+-$1}
  local bin=$work/$name/bin papers=$work/papers-$ARCH$variant
  export STAGE=$work/stage-$ARCH$variant
  build linux "${@:2}"
  files "$STAGE"
  cp -r "$STAGE/usr/share" lib/install lib/systemd LICENSE README.md CHANGELOG.md "$work/$name"
  install install.sh download.sh "$work/$name"
  archive "$work" "$name"
}

# packages writes the deb and the rpm of $STAGE.
packages() {
  local packager
  settle "$STAGE"
  for packager in deb rpm; do
    "$work/nfpm" package --config packaging/nfpm.yaml --packager $packager --target "$dist"
  done
}

# carry OS writes the archive of the tools for hosts that carry bundles, with their
# pages as Markdown and, for macOS, as manual pages and completions as well.
carry() {
  local os=$1 name=k0rdent-airgap-$VERSION-$1-$ARCH page tool tools
  local top=$work/$os-$ARCH
  local out=$top/$name
  local bin=$out/bin papers=$out
  read -ra tools <<<"$CARRY"
  build "$os" TOOLS="$CARRY"
  mkdir -p "$out/docs/man"
  cp LICENSE README.md CHANGELOG.md "$out"
  cp docs/tutorial.md "$out/docs"
  for page in "${tools[@]/%/.1}" k0rdent-airgap.7 k0rdent-records.5; do
    cp "docs/man/$page.md" "$out/docs/man"
    [ "$os" = windows ] || install -D -m 644 "man/$page" "$out/share/man/man${page##*.}/$page"
  done
  if [ "$os" = windows ]; then
    settle "$top"
    TZ=UTC0 "$work/zip" "$top" >"$dist/$name.zip"
    return
  fi
  for tool in "${tools[@]}"; do
    install -D -m 644 "completions/$tool.bash" "$out/share/bash-completion/completions/$tool"
    install -D -m 644 "completions/_$tool" "$out/share/zsh/site-functions/_$tool"
    install -D -m 644 "completions/$tool.fish" "$out/share/fish/vendor_completions.d/$tool.fish"
  done
  install download.sh "$out"
  archive "$top" "$name"
}

for ARCH in ${ARCHES:-amd64 arm64}; do
  export ARCH
  linux
  packages
  linux fips GOFIPS140="$FIPS"
  carry darwin
  carry windows
done
cd "$dist"
sha256sum ./*.tar.gz ./*.zip ./*.deb ./*.rpm | sed 's, \./, ,' >SHA256SUMS
# The form of `cosign sign-blob`: the base64 of an ECDSA signature of the SHA-256.
[ -z "${KEY-}" ] || openssl dgst -sha256 -sign "$KEY" SHA256SUMS | base64 -w 0 >SHA256SUMS.sig
ls -l
