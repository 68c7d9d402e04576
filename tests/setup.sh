#!/usr/bin/env bash
# Installs what the tests run beside the tools: helper programs and real peers.
# Quick when all is there. Where nothing can be installed (not root, no apt)
# the tests that need a missing program skip by name, and fail with CI=true.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.cache/bin:$PATH
mkdir -p .cache/bin

# Programs, each with its Debian package if that has another name.
programs=(bats bsdtar=libarchive-tools curl fish gcc ip=iproute2 jq mandoc openssl pigz script=bsdutils shellcheck skopeo zsh zstd)

# command, module, version: built from source into .cache/bin.
modules='
staticcheck  honnef.co/go/tools/cmd/staticcheck                v0.8.2
crane        github.com/google/go-containerregistry/cmd/crane  v0.22.1
registry     github.com/distribution/distribution/v3/cmd/registry v3.1.2
'

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# quietly COMMAND…: shows what it printed only if it fails.
quietly() {
  "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; return 1; }
}

missing=()
for p in "${programs[@]}"; do
  command -v "${p%=*}" >/dev/null || missing+=("${p#*=}")
done
case " ${missing[*]-} " in *' gcc '*) missing+=(libc6-dev) ;; esac # the race detector links libc
command -v docker-registry >/dev/null && registry=present || registry=missing

if [ ${#missing[@]} -gt 0 ] || [ "$registry" = missing ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    quietly apt-get -q update
  else
    echo "setup: cannot install ${missing[*]}: needs root and apt-get" >&2
    [ "${CI-}" != true ] || exit 1
    missing=() registry=present
  fi
fi
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive quietly apt-get -q -y install --no-install-recommends "${missing[@]}"
fi
if [ "$registry" = missing ]; then
  # Unpacked and not installed, since installing it starts a service on port 5000.
  echo 'setup: unpacking docker-registry'
  deb=$(mktemp -d)
  (cd "$deb" && quietly apt-get -q -o APT::Sandbox::User=root download docker-registry && dpkg-deb -x ./*.deb .)
  mv "$deb/usr/bin/docker-registry" .cache/bin/
  rm -rf "$deb"
fi

while read -r command module version; do
  [ -n "$command" ] || continue
  case $(go version -m ".cache/bin/$command" 2>/dev/null || true) in
  *"	mod	"*"	$version	"*) ;;
  *) echo "setup: building $command $version"
     GOBIN=$PWD/.cache/bin CGO_ENABLED=0 GOFLAGS=-trimpath quietly go install "$module@$version" ;;
  esac
done <<<"$modules"
GOFLAGS=-trimpath CGO_ENABLED=0 quietly go -C tests/interop build -o ../../.cache/bin/ ./...
