#!/usr/bin/env bats
# The screen of each tool on success, and after the most common mistakes, on a terminal
# of 80 and of 40 columns: the files in tests/tty. TTY_UPDATE=1 rewrites them; git diff
# is the review.
# shellcheck disable=SC2154 # ca is set by filled

load lib/helper
load lib/host
load lib/filled
load lib/window

# release: a site with the sample bundle, signed, at /media/release.tgz.
release() {
  need openssl tmux
  filled
  there+=(TERM=screen)
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out "$MEDIA/cosign.pub" 2>/dev/null
  cp "$SAMPLE/bundle.tgz" "$MEDIA/release.tgz"
  openssl dgst -sha256 -sign key.pem "$MEDIA/release.tgz" | base64 -w 0 >"$MEDIA/release.tgz.sig"
}

@test "tty: the output of each tool on success" {
  release
  screen bundle-verify 'bundle-verify --key cosign.pub release.tgz'
  screen bundle-version 'bundle-version release.tgz'
  screen verified-version 'bundle-verify --key cosign.pub release.tgz | bundle-version'
  screen bundle-ls 'bundle-ls release.tgz'
  # shellcheck disable=SC2016 # for the shell over there
  screen oci-push 'oci-push --to 127.0.0.1:5000/p$COLUMNS --ca '"$ca"' release.tgz'
  # shellcheck disable=SC2016
  screen oci-push-redirected 'oci-push --to 127.0.0.1:5000/p$COLUMNS --ca '"$ca"' release.tgz >/root/pushed'
  # shellcheck disable=SC2016
  screen oci-push-piped 'oci-push --to 127.0.0.1:5000/p$COLUMNS --ca '"$ca"' release.tgz | grep -c exists'
  # shellcheck disable=SC2016
  screen verified-push 'bundle-verify --key cosign.pub release.tgz | bundle-ls | oci-push --to 127.0.0.1:5000/p$COLUMNS --ca '"$ca"' >/root/pushed'
  # shellcheck disable=SC2016
  screen oci-serve 'oci-serve --port 5001 --storage /srv/$COLUMNS' C-c
  screen oci-serve-gc 'oci-serve --gc --storage /srv/80'
  # shellcheck disable=SC2016
  screen k0s-extract 'k0s-extract --to /root/k0s-$COLUMNS bundle.tgz'
  screen k0s-mirror-config "k0s-mirror-config --check"
  # Without stderr: the warnings of a preflight depend on the machine.
  screen k0s-up "k0s-up --plan --registry 10.55.0.5:5000 --ca $ca 2>/root/err"
  screen k0rdent-install "k0rdent-install --plan --registry 10.55.0.5:5000 --ca $ca 2>/root/err"
  # A script on a terminal gets what it asks for.
  screen json 'K0RDENT_FORMAT=json bundle-version release.tgz'
}

@test "tty: the most common mistakes" {
  release
  head -c 30000 "$MEDIA/release.tgz" >"$MEDIA/cut.tgz"
  cp "$MEDIA/release.tgz.sig" "$MEDIA/cut.tgz.sig"
  echo '<!DOCTYPE html><title>Not found</title>' >"$MEDIA/page.tgz"
  mkdir "$MEDIA/empty"
  openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -out "$MEDIA/other.pub" 2>/dev/null
  screen no-such-file 'bundle-ls relase.tgz'
  screen no-key 'bundle-verify release.tgz'
  screen wrong-key 'bundle-verify --key other.pub release.tgz'
  screen truncated-signed 'bundle-verify --key cosign.pub cut.tgz'
  screen truncated 'bundle-ls cut.tgz >/root/list'
  screen not-a-bundle 'bundle-ls page.tgz'
  screen no-input 'bundle-version'
  screen no-registry 'oci-push release.tgz'
  screen registry-down 'oci-push --to 127.0.0.1:1 release.tgz'
  screen nothing-to-push "oci-push --to 127.0.0.1:5000 --ca $ca empty"
  screen wrong-flag 'oci-push --too 10.55.0.5:5000 release.tgz'
  # shellcheck disable=SC2016
  screen k0s-extract-from 'k0s-extract --from bundle.tgz --to /root/k0s-$COLUMNS'
  # shellcheck disable=SC2016
  screen k0s-extract-scheme 'k0s-extract --from http://10.55.0.5:5000/k0sproject/k0s --to /root/k0s-$COLUMNS'
  screen k0s-extract-platform 'k0s-extract --platform linux/ppc64le bundle.tgz'
  screen k0s-extract-file 'k0s-extract /usr/local/bin/k0s'
  screen storage-in-use 'oci-serve --gc --storage /srv/registry 2>&1 | sed "s/process [0-9]*/process 42/"'
}

@test "tty: a wait is one live line, and a signal ends it" {
  release
  terminal 80 "k0s-up --registry 10.55.0.5:5000 --ca $ca --timeout 1h </dev/null >/root/steps"
  shows begin '(.*.)?k0s-ready: waiting for k0s … [0-9]+s of 1h'
  "${tmux[@]}" send-keys C-c
  # That shell does not wait for background jobs.
  shows begin '.*k0s-up: 1 failed; .* in [0-9]+\.[0-9] s' 'k0s-up: interrupted(.end 130)?'
}

@test "tty: oci-serve waits for a transfer, and says so" {
  local rest start waits
  mkfifo input
  window 200 "oci-serve --host 127.0.0.1 --port 0 --storage storage --format '{{.address}}' >address"
  until [ -s address ]; do sleep 0.05; done
  registry=$(cat address)
  start="oci-serve: serving .* at http://$registry; anyone may pull, .*\^C stops it\."
  waits='(\^C)?oci-serve: waiting for 1 transfer \(30 s at most\); \^C again ends at once'
  exec {rest}<>input
  curl -sS -X POST "http://$registry/v2/a/blobs/uploads/" -D headers -o /dev/null
  curl -sS -X PATCH -T input -H 'Content-Type: application/octet-stream' "http://$registry$(sed -n 's/^[Ll]ocation: \(http:..[^/]*\)\?//p' headers | tr -d '\r')" >/dev/null 2>&1 3>&- &
  servers+=($!)
  head -c 5000000 /dev/zero >&"$rest"
  until [ -n "$(find storage/uploads -size +1000)" ]; do sleep 0.05; done
  "${tmux[@]}" send-keys C-c
  shows begin "$start" "$waits"
  exec {rest}>&-
  kill "${servers[-1]}"
  shows begin "$start" "$waits" 'oci-serve: stopped' 'end 0'
}

@test "tty: colours are sparse, only on a terminal, and can be turned off" {
  local esc=$'\e'
  need script
  script -qec 'bundle-ls missing' /dev/null >raw || true
  grep -q "^$esc\[K$esc\[31mbundle-ls:$esc\[0m stat" raw
  script -qec "bundle-version" /dev/null >raw || true
  grep -q "^$esc\[1mhint:$esc\[0m " raw
  script -qec "sh $ROOT/install.sh --too" /dev/null >raw || true
  grep -q "^$esc\[31minstall.sh:$esc\[0m unknown flag --too" raw
  grep -q "^$esc\[1mhint:$esc\[0m install.sh --help" raw
  NO_COLOR=1 script -qec 'bundle-ls missing' /dev/null >raw || true
  sed -i "s/^$esc\[K//" raw # another tool's bar is cleared without a colour
  TERM=dumb script -qec 'bundle-ls missing' /dev/null >>raw || true
  script -qec 'bundle-ls missing 2>err >out' /dev/null >>raw || true
  cat err out >>raw
  for settings in NO_COLOR=1 TERM=dumb; do script -qec "env $settings sh $ROOT/install.sh --too" /dev/null >>raw || true; done
  run ! grep -q "$esc" raw
  grep -q '^bundle-ls: stat' raw
}
