#!/usr/bin/env bats
# The tools built for arm64, run by qemu on this machine.
# shellcheck disable=SC2153 # ROOT is set by setup_suite

load lib/helper

setup_file() {
  command -v qemu-aarch64-static >/dev/null || return 0
  GOARCH=arm64 make -s -C "$ROOT" build BIN=.cache/arm64
}

# arm TOOL [ARGUMENT…]
arm() {
  local tool=$1
  shift
  qemu-aarch64-static "$ROOT/.cache/arm64/$tool" "$@"
}

@test "arm64: every tool starts" {
  local tool
  need qemu-aarch64-static
  for tool in $(tools); do
    [[ $(arm "$tool" --version) == "$tool "*' linux/arm64'* ]]
  done
}

@test "arm64: a bundle is listed, and its release found, as on amd64" {
  need qemu-aarch64-static
  timeless() { sed 's/,"seconds":[0-9.]*//'; }
  same "$(bundle-ls "$SAMPLE/bundle.tgz" | timeless)" "$(arm bundle-ls "$SAMPLE/bundle.tgz" | timeless)"
  same "$(bundle-version "$SAMPLE/bundle")" "$(arm bundle-version "$SAMPLE/bundle")"
}

@test "arm64: a good signature is distinguished from a bad one" {
  need qemu-aarch64-static openssl
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out cosign.pub 2>/dev/null
  openssl dgst -sha256 -sign key.pem -out bundle.sig "$SAMPLE/bundle.tgz"
  arm bundle-verify --key cosign.pub --signature bundle.sig "$SAMPLE/bundle.tgz" | grep -q '"signature":"good"'
  run -1 arm bundle-verify --key cosign.pub --signature bundle.sig "$SAMPLE/bundle.tar"
}

@test "arm64: k0s is extracted from a bundle for the tool's own platform" {
  local platform
  need qemu-aarch64-static
  arm k0s-extract --to "$PWD/k0s" --quiet "$SAMPLE/bundle.tgz" >record
  platform=$(sed 's/.*"platform":"\([^"]*\)".*/\1/' record)
  [ "$platform" = linux/arm64 ]
  same "$(k0s-extract --to "$PWD/other" --platform linux/arm64 --format '{{.digest}}' --quiet "$SAMPLE/bundle.tgz")" "sha256:$(sha256sum <k0s | cut -d' ' -f1)"
}
