#!/usr/bin/env bats
# install.sh from the bundle to a platform that is ready, under a real systemd and
# with a real API server: what nspawn/install.sh tries. k0s is the stand-in.

load lib/helper
load lib/boot

# The container boots once, for all tests of this file.
setup_file() {
  local media=$BATS_FILE_TMPDIR/media tool bin=$ROOT/.cache/bin
  mkdir -p "$media/release/bin" "$media/plane"
  for tool in $(tools); do ln "$ROOT/bin/$tool" "$media/release/bin" 2>/dev/null || cp "$ROOT/bin/$tool" "$media/release/bin"; done
  cp -r "$ROOT/install.sh" "$ROOT/lib/systemd" "$media/release"
  mkbundle --k0s stand-in --out "$media/bundle.tgz" --manifest "$media/manifest.json"
  expected "$media/manifest.json" | sed 's,^,k0rdent-enterprise/,' >"$media/expected"
  openssl ecparam -name prime256v1 -genkey -noout -out "$BATS_FILE_TMPDIR/key.pem"
  openssl ec -in "$BATS_FILE_TMPDIR/key.pem" -pubout -out "$media/cosign.pub" 2>/dev/null
  openssl dgst -sha256 -sign "$BATS_FILE_TMPDIR/key.pem" "$media/bundle.tgz" | base64 -w0 >"$media/bundle.tgz.sig"
  export MISSING=
  for tool in kube cluster.test; do [ -x "$bin/$tool" ] || MISSING=$tool; done
  [ -z "$MISSING" ] || return 0
  ln "$bin/cluster.test" "$media/" 2>/dev/null || cp "$bin/cluster.test" "$media/"
  cp -a "$bin"/{kube,etcd,kube-apiserver,kube-controller-manager,kube-scheduler,kwok} "$media/plane/"
  boot install.sh --tmpfs=/usr/local --bind-ro="$media:/media"
}

# told NAME: as said, where there is a control plane.
found() {
  [ -z "$MISSING" ] || skip "no $MISSING in .cache/bin (tests/setup.sh makes it)"
  said "$1"
}

@test "systemd: a plan changes nothing" { found 'a plan changes nothing'; }
@test "systemd: killed in the middle, three times" { found 'it is killed in the middle, three times'; }
@test "systemd: the next run completes, and the platform is ready" { found 'the next run completes, and the platform is ready'; }
@test "systemd: the registry is a service" { found 'the registry is a service'; }
@test "systemd: a further run changes nothing" { found 'a further run changes nothing'; }
@test "systemd: a newer oci-serve is started" { found 'a newer oci-serve is started'; }
@test "systemd: all is taken away but what is told" { found 'all is taken away but what is told'; }
@test "systemd: and with --purge that, too" { found 'and with --purge that, too'; }
@test "systemd: another storage and port, and a port in use" { found 'another storage and port, and a port in use'; }
