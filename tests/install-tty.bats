#!/usr/bin/env bats
# The screens of install.sh on a terminal of 80 and of 40 columns: the files in
# tests/tty. TTY_UPDATE=1 rewrites them; git diff is the review. install.sh leaves it to
# the terminal to break its lines.
# shellcheck disable=SC2154,SC2034 # set by the files that are loaded, and for them
# shellcheck disable=SC2016 # for the shell over there

load lib/helper
load lib/host
load lib/window

joined=yes

# media: the release archive, and a bundle with its signature.
media() {
  local tool
  need openssl tmux
  hosts
  export MEDIA=$BATS_TEST_TMPDIR/media
  mkdir -p "$MEDIA/bin"
  for tool in $(tools); do ln "$ROOT/bin/$tool" "$MEDIA/bin" 2>/dev/null || cp "$ROOT/bin/$tool" "$MEDIA/bin"; done
  cp -r "$ROOT"/{install.sh,lib/install,lib/systemd} "$MEDIA"
  mkbundle --k0s stand-in --archives 70 --out "$MEDIA/bundle.tgz"
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out "$MEDIA/cosign.pub" 2>/dev/null
  openssl dgst -sha256 -sign key.pem "$MEDIA/bundle.tgz" | base64 -w 0 >"$MEDIA/bundle.tgz.sig"
  there=(K0S_ROOT=/ K0S_LOG=/root/k0s.log TERM=screen)
  host a
  address a 10.0.0.5/24
}

@test "tty: install.sh up to a failure, and further" {
  media
  local run='K0RDENTD_REGISTRY_STORAGE=/srv/$COLUMNS sh install.sh --bundle bundle.tgz --key cosign.pub'
  on a sh -c 'echo mine >/root/k0s'
  screen install-stops "cp /root/k0s /usr/local/bin/; $run"
  screen install-status 'sh install.sh --status'
  on a rm /usr/local/bin/k0s
  screen install-step "sh install.sh --only k0s"
  on a sh -c 'k0s install controller --enable-worker --no-taints && k0s start'
  screen install-export 'sh install.sh --export-worker /root/worker.tar.gz'
  screen install-uninstall 'sh install.sh --uninstall' Enter
  widths=80 screen install-uninstalled 'sh install.sh --uninstall --purge --yes'
}

@test "tty: install.sh after the most common mistakes" {
  media
  cp "$MEDIA/bundle.tgz" "$MEDIA/unsigned.tgz"
  openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -out "$MEDIA/other.pub" 2>/dev/null
  on a sh -c 'mkdir /srv/small; mount -t tmpfs -o size=32k small /srv/small'
  screen install-no-bundle 'sh install.sh'
  screen install-no-key 'sh install.sh --bundle bundle.tgz'
  screen install-operand 'sh install.sh bundle.tgz'
  screen install-wrong-flag 'sh install.sh --bundel bundle.tgz'
  screen install-unsigned 'sh install.sh --bundle unsigned.tgz --key cosign.pub'
  # Three tools report it before, in any order.
  screen install-other-key 'K0RDENTD_REGISTRY_STORAGE=/srv/$COLUMNS sh install.sh --bundle bundle.tgz --key other.pub 2>&1 | tail -n 2'
  screen install-small-disk 'K0RDENTD_REGISTRY_STORAGE=/srv/small sh install.sh --bundle bundle.tgz --key cosign.pub'
  screen install-not-root 'setpriv --reuid=nobody --clear-groups sh install.sh --bundle bundle.tgz --key cosign.pub'
  screen install-worker-digest 'sh install.sh --worker bundle.tgz' Enter
}
