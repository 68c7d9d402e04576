#!/usr/bin/env bats
# oci-serve as a service of a real systemd, as nspawn/service.sh runs it.

load lib/helper
load lib/boot

# The container boots once, for all tests of this file.
setup_file() {
  local work=$BATS_FILE_TMPDIR units=() unit
  mkdir -p "$work/sample"
  make -s -C "$ROOT" install DESTDIR="$work/root" PREFIX=/opt/k0rdent >/dev/null
  ln "$SAMPLE/bundle.tgz" "$work/sample/" 2>/dev/null || cp "$SAMPLE/bundle.tgz" "$work/sample/"
  expected >"$work/sample/expected"
  # The largest blob, as the end of its address.
  jq -r '[.entries[] | select(.kind == "oci") | {repository} + .blobs[]] | max_by(.size) | "\(.repository)/blobs/\(.digest)"' \
    "$SAMPLE/manifest.json" >"$work/sample/largest"
  for unit in "$work"/root/opt/k0rdent/lib/systemd/system/*; do
    units+=(--bind-ro="$unit:/etc/systemd/system/${unit##*/}")
  done
  boot service.sh --bind-ro="$work/root/opt/k0rdent:/opt/k0rdent" --bind-ro="$work/sample:/sample" "${units[@]}"
}

@test "service: the socket starts it" { passed 'the socket starts the service'; }
@test "service: it has no privilege" { passed 'the service has no privilege'; }
@test "service: root and the service may write, nobody else" { passed 'root and the service may write, nobody else'; }
@test "service: a bundle is pushed to it, and its files are its own" { passed 'a bundle is pushed'; }
@test "service: no client is refused while it restarts behind its socket" { passed 'no client is refused while the service restarts behind its socket'; }
@test "service: data is kept" { passed 'data is kept'; }
@test "service: clients that retry ride out a restart without the socket" { passed 'clients that retry ride out a restart without the socket'; }
@test "service: a server that hangs is restarted, one that answers is not" { passed 'a server that hangs is replaced'; }
@test "service: --tls auto makes a certificate" { passed 'a certificate is made for this host'; }
@test "service: k0s is served" { passed 'k0s is served'; }
@test "service: garbage is collected by the same user" { passed 'garbage is collected by the same user'; }
@test "service: the journal has priorities, and a wrong setting is not retried" { passed 'the journal has priorities, and wrong settings end the service'; }
