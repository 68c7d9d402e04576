#!/usr/bin/env bash
# Installs what the tests run next to the tools: helper programs and real peers.
# Quick when all is there. Where nothing can be installed (not root, no apt)
# the tests that need a missing program skip by name, and fail with CI=true.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.cache/bin:$PATH
mkdir -p .cache/bin
# As `make build` has it, so that what is needed there as well is compiled once.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS-} -trimpath"

# Programs, each with its Debian package if that has another name.
programs=(bats bsdtar=libarchive-tools chromium curl debootstrap fish gcc git ip=iproute2 jq mandoc openssl pigz qemu-aarch64-static=qemu-user-static rpm rsvg-convert=librsvg2-bin runc script=bsdutils shellcheck skopeo strace systemd-analyze=systemd systemd-nspawn=systemd-container nft=nftables tmux wget zsh zstd
  /usr/lib/cni/bridge=containernetworking-plugins)

# command, module, version: built from source into .cache/bin.
modules='
actionlint     github.com/rhysd/actionlint/cmd/actionlint          v1.7.12
staticcheck    honnef.co/go/tools/cmd/staticcheck                v0.8.2
crane          github.com/google/go-containerregistry/cmd/crane  v0.22.1
helm           helm.sh/helm/v4/cmd/helm                          v4.3.1
registry       github.com/distribution/distribution/v3/cmd/registry v3.1.2
versitygw      github.com/versity/versitygw/cmd/versitygw        v1.8.0
containerd2.3  github.com/containerd/containerd/v2/cmd/containerd v2.3.3
containerd2.4  github.com/containerd/containerd/v2/cmd/containerd v2.4.2
containerd-shim-runc-v2 github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2 v2.3.3
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
# Programs whose packages start a service when they are installed, and so are
# only unpacked, into .cache/bin, each with the name that it gets there.
services=()
for p in docker-registry containerd=containerd1.6; do
  command -v "${p#*=}" >/dev/null || services+=("$p")
done

if [ ${#missing[@]} -gt 0 ] || [ ${#services[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    quietly apt-get -q update
  else
    echo "setup: cannot install ${missing[*]} ${services[*]%=*}: needs root and apt-get" >&2
    [ "${CI-}" != true ] || exit 1
    missing=() services=()
  fi
fi
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive quietly apt-get -q -y install --no-install-recommends "${missing[@]}"
fi
for p in "${services[@]}"; do
  echo "setup: unpacking ${p%=*}"
  deb=$(mktemp -d)
  (cd "$deb" && quietly apt-get -q -o APT::Sandbox::User=root download "${p%=*}" && dpkg-deb -x ./*.deb .)
  mv "$deb/usr/bin/${p%=*}" ".cache/bin/${p#*=}"
  rm -rf "$deb"
done

# What runs the tools for Windows.
if [ ! -d .cache/wine ] && [ "$(id -u)" = 0 ] && [ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ]; then
  echo 'setup: unpacking Wine'
  { quietly apt-get -q update && quietly tests/wine.sh .cache/wine; } || [ "${CI-}" != true ] || exit 1
fi

# A Debian that packages are installed into: the least that there is, without its
# papers and caches.
if [ ! -d .cache/debian ] && [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null; then
  echo 'setup: making a Debian tree'
  tree=$(mktemp -d -p .cache)
  if quietly debootstrap --variant=minbase bookworm "$tree"; then
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* "$tree"/usr/share/{doc,man,locale}/*
    chmod 755 "$tree"
    mv "$tree" .cache/debian
  else
    rm -rf "$tree"
    [ "${CI-}" != true ] || exit 1
  fi
fi

while read -r command module version; do
  [ -n "$command" ] || continue
  case $(go version -m ".cache/bin/$command" 2>/dev/null || true) in
  *"	mod	"*"	$version	"*) ;;
  *) echo "setup: building $command $version"
     built=$(mktemp -d)
     GOBIN=$built quietly go install -ldflags '-s -w' "$module@$version"
     mv "$built/${module##*/}" ".cache/bin/$command"
     rm -rf "$built" ;;
  esac
done <<<"$modules"
# The last containerd 1 in a k0s cannot be installed in that way, since its
# go.mod excludes something, but it can be built where its source is kept.
containerd=v1.7.34
case $(.cache/bin/containerd1.7 --version 2>/dev/null || true) in
*" $containerd "*) ;;
*) echo "setup: building containerd1.7 $containerd"
   module=github.com/containerd/containerd
   quietly go mod download "$module@$containerd"
   quietly go build -C "$(go env GOMODCACHE)/$module@$containerd" \
     -ldflags "-s -w -X $module/version.Version=$containerd" -o "$PWD/.cache/bin/containerd1.7" ./cmd/containerd ;;
esac
# A control plane in one binary, under the names of its programs.
sum=$(cat tests/cluster/programs/* | sha256sum)
if [ ! -x .cache/bin/kube ] || [ "$sum" != "$(cat .cache/kube.sum 2>/dev/null)" ]; then
  echo 'setup: building Kubernetes, which takes minutes'
  version=$(go -C tests/cluster/programs list -m -f '{{.Version}}' k8s.io/kubernetes)
  quietly go -C tests/cluster/programs build \
    -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o ../../../.cache/bin/kube .
  for p in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kwok; do
    ln -sf kube ".cache/bin/$p"
  done
  echo "$sum" >.cache/kube.sum
fi
# Flux's controllers, and the kinds that they work on.
sum=$(cat tests/cluster/flux/* | sha256sum)
if [ ! -x .cache/bin/source-controller ] || [ "$sum" != "$(cat .cache/flux.sum 2>/dev/null)" ]; then
  echo 'setup: building Flux, which takes minutes'
  : >.cache/flux-kinds.yaml
  for p in helm-controller source-controller; do
    quietly go -C tests/cluster/flux build -ldflags '-s -w' -o ../../../.cache/bin/ "github.com/fluxcd/$p"
    cat "$(go -C tests/cluster/flux list -m -f '{{.Dir}}' "github.com/fluxcd/$p")"/config/crd/bases/*.yaml >>.cache/flux-kinds.yaml
  done
  echo "$sum" >.cache/flux.sum
fi
# The helm-controller of kcm before 1.11, with Helm 3 in it.
sum=$(cat tests/cluster/flux-helm3/* | sha256sum)
if [ ! -x .cache/bin/helm-controller-helm3 ] || [ "$sum" != "$(cat .cache/flux-helm3.sum 2>/dev/null)" ]; then
  echo 'setup: building helm-controller with Helm 3, which takes minutes'
  quietly go -C tests/cluster/flux-helm3 build -ldflags '-s -w' -o ../../../.cache/bin/helm-controller-helm3 github.com/fluxcd/helm-controller
  echo "$sum" >.cache/flux-helm3.sum
fi
quietly go -C tests/interop build -o ../../.cache/bin/ ./...
# What the stand-in for k0s starts where the whole is installed.
quietly go -C tests/cluster test -c -tags serve -ldflags '-s -w' -o ../../.cache/bin/cluster.test .
quietly go -C tests/containerd build -ldflags '-s -w' -o ../../.cache/bin/ ./cri-pull
