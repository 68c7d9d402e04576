#!/usr/bin/env bats
# A site of two hosts from start to end, as `make site` runs it, with the stand-ins,
# in site/run.sh.

load lib/helper
load lib/media

# It runs once, for all tests of this file.
setup_file() {
  export REPORT=$BATS_FILE_TMPDIR/report
  MISSING=$(missing)
  export MISSING
  [ -z "$MISSING" ] || return 0
  TMPDIR=$BATS_FILE_TMPDIR timeout 900 "$ROOT/tests/site/run.sh" >"$BATS_FILE_TMPDIR/out" 2>&1 3>&- || true
}

# found NAME: this part passed.
found() {
  need systemd-nspawn script nft ip curl
  [ "$(id -u)" = 0 ] || skip 'not root'
  [ -z "$MISSING" ] || skip "no $MISSING in .cache/bin (tests/setup.sh makes it)"
  grep -qx "ok $1" "$REPORT/results" && return
  cat "$BATS_FILE_TMPDIR/out"
  return 1
}

@test "site: the counters work" { found 'the counters work'; }
@test "site: the first host is installed" { found 'the first host is installed'; }
@test "site: a worker joins" { found 'a worker joins'; }
@test "site: the first host is restarted" { found 'the first host is restarted'; }
@test "site: the platform is upgraded" { found 'the platform is upgraded'; }
@test "site: both hosts are uninstalled" { found 'both hosts are uninstalled'; }
@test "site: no lookup and no packet left the site" { found 'no lookup and no packet left the site'; }
