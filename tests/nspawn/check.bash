# For the scripts that run in a booted container, as root, with no network but
# loopback. What they print is in /out/log.
set -uo pipefail
exec >/out/log 2>&1
PATH=/test/bin:$PATH
echo 127.0.0.1 localhost >/etc/hosts

# check NAME COMMAND…: one line in /out/results for the outcome, "ok NAME" or
# "not ok NAME".
check() {
  local name=$1
  shift
  echo "# $name"
  if "$@"; then
    echo "ok $name" >>/out/results
  else
    echo "not ok $name" >>/out/results
    journalctl -q --no-pager -u oci-serve -u plane -n 20
  fi
}

property() { systemctl show --value -p "$1" oci-serve.service; }

# eventually COMMAND…: waits up to a minute until it succeeds.
eventually() {
  for _ in {1..600}; do
    "$@" && return
    sleep 0.1
  done
  return 1
}
