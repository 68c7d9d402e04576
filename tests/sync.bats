#!/usr/bin/env bats
# A second registry of a site, as nspawn/sync.sh sets it up with the guide's commands.

load lib/helper
load lib/boot

# The container boots once, for all tests of this file.
setup_file() {
  local work=$BATS_FILE_TMPDIR units=() unit name seed=1
  mkdir -p "$work/sample"
  make -s -C "$ROOT" install DESTDIR="$work/root" PREFIX=/opt/k0rdent >/dev/null
  for name in bundle other third; do # the same tags
    mkbundle --archives 20 --size 16MiB --seed $((seed++)) --out "$work/sample/$name.tgz" --manifest "$work/$name.json"
    expected "$work/$name.json" >"$work/sample/$name"
  done
  tail -n +2 "$work/sample/third" >"$work/sample/rest"
  cp "$ROOT/man/k0rdent-airgap.7" "$ROOT/tests/lib/guide.bash" "$work/sample/"
  for unit in "$work"/root/opt/k0rdent/lib/systemd/system/*; do
    units+=(--bind-ro="$unit:/etc/systemd/system/${unit##*/}")
  done
  boot sync.sh --bind-ro="$work/root/opt/k0rdent:/opt/k0rdent" --bind-ro="$work/root/etc/k0rdent-airgap:/opt/settings" \
    --bind-ro="$work/sample:/sample" "${units[@]}"
}

@test "second registry: it follows the first, which requires a login" { passed 'the second follows the first'; }
@test "second registry: another run sends nothing" { passed 'another run sends nothing'; }
@test "second registry: a tag that was moved is moved" { passed 'a tag that was moved is moved'; }
@test "second registry: a killed run is completed by the next" { passed 'a killed run is completed by the next'; }
@test "second registry: what was deleted stays" { passed 'what was deleted stays'; }
@test "second registry: the timer waits for a first that is down" { passed 'the timer waits for a registry that is down'; }
@test "second registry: it takes the place of the first" { passed 'the second takes the place of the first'; }
