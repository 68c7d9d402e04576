#!/usr/bin/env bats
# install.sh from the bundle to a platform that is ready, under a real systemd and
# with a real API server, as nspawn/install.sh runs it. k0s is the stand-in.

load lib/helper
load lib/boot
load lib/media

# The container boots once, for all tests of this file.
setup_file() {
  local media=$BATS_FILE_TMPDIR/media
  MISSING=$(missing)
  export MISSING
  [ -z "$MISSING" ] || return 0
  # The tools, from the release archive and from a package.
  release "$media/release"
  mkdir "$media/k0rdent-airgap-VERSION-linux-amd64"
  cp -rl "$media/release"/* "$media/k0rdent-airgap-VERSION-linux-amd64"
  tar c -C "$media" --remove-files k0rdent-airgap-VERSION-linux-amd64 | gzip -1 >"$media/k0rdent-airgap-VERSION-linux-amd64.tar.gz"
  make -s -C "$ROOT" install DESTDIR="$BATS_FILE_TMPDIR/root" SYSCONFDIR=/etc >/dev/null
  mv "$BATS_FILE_TMPDIR/root/usr/local" "$media/packaged"
  mv "$BATS_FILE_TMPDIR/root/etc/k0rdent-airgap/oci-serve.env" "$media"
  bundles "$media/usb" 1.3.0 1.2.3
  mv "$media/usb/manifest.json" "$media"
  expected "$media/manifest.json" | sed 's,^,k0rdent-enterprise/,' >"$media/expected"
  cp "$ROOT/man/k0rdent-airgap.7" "$ROOT/tests/lib/guide.bash" "$media"
  plane "$media/plane"
  mv "$media/plane/cluster.test" "$media"
  boot install.sh --tmpfs=/usr/local --bind-ro="$media:/media"
}

# found NAME: like passed, with a control plane.
found() {
  [ -z "$MISSING" ] || skip "no $MISSING in .cache/bin (tests/setup.sh makes it)"
  passed "$1"
}

@test "systemd: a plan changes nothing" { found 'a plan changes nothing'; }
@test "systemd: killed in the middle, three times" { found 'it is killed in the middle, three times'; }
@test "systemd: the next run completes, and the platform is ready" { found 'the next run completes, and the platform is ready'; }
@test "systemd: the registry is a service" { found 'the registry is a service'; }
@test "systemd: another run changes nothing" { found 'another run changes nothing'; }
@test "systemd: a newer oci-serve is started" { found 'a newer oci-serve is started'; }
@test "systemd: a new release" { found 'a new release'; }
@test "systemd: everything but what is listed is removed" { found 'everything but what is listed is removed'; }
@test "systemd: --purge removes that, too" { found '--purge removes that, too'; }
@test "systemd: another storage and port, and a port in use" { found 'another storage and port, and a port in use'; }
@test "systemd: the same by hand" { found 'the same by hand'; }
