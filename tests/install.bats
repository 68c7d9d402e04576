#!/usr/bin/env bats
# install.sh on hosts of their own, as far as one gets without a cluster: to the
# end of k0rdent-install's plan, which has looked at everything that the cluster
# and the platform will ask for. k0s is the stand-in of tests/k0s.
# shellcheck disable=SC2154 # output and stderr are set by run

load lib/helper
load lib/host

# What is carried in, once for all tests: the release archive, a bundle and its
# signature, and what goes wrong with them.
setup_file() {
  local tool
  export MEDIA=$BATS_FILE_TMPDIR/media
  mkdir -p "$MEDIA/release/bin" "$MEDIA/bin"
  for tool in $(tools); do ln "$ROOT/bin/$tool" "$MEDIA/release/bin" 2>/dev/null || cp "$ROOT/bin/$tool" "$MEDIA/release/bin"; done
  cp -r "$ROOT/install.sh" "$ROOT/lib/systemd" "$MEDIA/release"
  cp "$(type -P audit)" "$MEDIA/bin"
  mkbundle --k0s stand-in --out "$MEDIA/bundle.tgz" --manifest "$MEDIA/manifest.json"
  openssl ecparam -name prime256v1 -genkey -noout -out "$BATS_FILE_TMPDIR/key.pem"
  openssl ec -in "$BATS_FILE_TMPDIR/key.pem" -pubout -out "$MEDIA/cosign.pub" 2>/dev/null
  openssl dgst -sha256 -sign "$BATS_FILE_TMPDIR/key.pem" "$MEDIA/bundle.tgz" | base64 -w0 >"$MEDIA/bundle.tgz.sig"
}

# site NAME ADDRESS: a host in a network, with a stand-in for k0s that works.
site() {
  hosts
  # shellcheck disable=SC2034 # on uses it
  there=(K0S_ROOT=/ K0S_LOG=/root/k0s.log)
  host "$1"
  address "$1" "$2/24"
}

# script NAME ARGUMENT…: install.sh there, as it came out of the archive.
script() {
  local name=$1
  shift
  on "$name" sh /media/release/install.sh "$@"
}

# whole: how it is called here, but for what a test adds before.
whole=(--bundle /media/bundle.tgz --key /media/cosign.pub)

log=/var/log/k0rdent-airgap/install.ndjson
storage=/var/lib/k0rdentd/registry

# looks NAME: every file that the host was given: its kind, mode, time and size.
# Logs are left out, and so is what is known of the last push.
looks() {
  on "$1" find /written/etc /written/usr /written/var /written/root ! -path '/written/var/log/*' ! -name k0s.log ! -path '*/install/pushed' \
    ! -type d -printf '%P %y %m %T@ %s\n' 2>/dev/null | sort
}

# timeless: the same without the times, and without what differs from host to
# host: certificates, and what a registry keeps of uploads that broke off.
timeless() { looks "$1" | grep -v -e /tls/ -e '/ca\.crt ' -e /registry/uploads/ -e /registry/lock | awk '{print $1, $2, $3, $5}'; }

# records NAME FILTER: what jq makes of the log there.
records() { on "$1" cat $log | jq -r "$2"; }

# filled NAME: the registry there has all of the bundle, and each byte is right.
filled() { same "$(expected "$MEDIA/manifest.json" | sed 's,^,k0rdent-enterprise/,')" "$(on "$1" /media/bin/audit $storage)"; }

@test "install.sh: a plan shows every step and changes nothing" {
  site one 10.0.0.5
  run -0 --separate-stderr script one "${whole[@]}" --plan
  same 'check tools version serve push k0s mirror install' "$(awk '/^[a-z]/ {print $1}' <<<"$output" | xargs)"
  [[ $output == *'KiB'* || $output == *" MiB in $storage, where "*' MiB are free'* ]]
  [[ $output == *$'\nversion  k0rdent-enterprise 1.2.3\n'* ]]
  [[ $output == *"oci-serve --host 0.0.0.0 --port 5000 --storage $storage --tls auto --tls-name 10.0.0.5"* ]]
  [ "$stderr" = '' ]
  [ "$(looks one)" = '' ]
  [ "$(on one find /tmp /run -type f)" = '' ]
  # What is wrong with it is told, too.
  run -1 --separate-stderr script one --bundle /media/manifest.json --key /media/cosign.pub --plan
  told install.sh
  [ "$(looks one)" = '' ]
}

@test "install.sh: from the bundle to k0rdent-install's plan with nothing but the tools, and again" {
  site one 10.0.0.5
  script one "${whole[@]}" -- --plan >out 2>err
  filled one
  [ "$(on one k0s version)" = v1.32.8+k0s.0 ]
  same "$(printf '%s\n' amd64 arm64)" "$(on one sh -c "cd $storage/k0s && ls" | sed 's/^k0s-v1.32.8+k0s.0-//')"
  [ "$(on one stat -c '%a %U' $log)" = '600 root' ]
  [ "$(on one stat -c '%a %U' /var/log/k0rdent-airgap)" = '700 root' ]
  [ "$(on one find / -xdev -name '*.new' -o -xdev -path '/tmp/*')" = '' ]

  # The log has it all, and the report says the same.
  [ "$(records one 'select(.by).name + " " + select(.by).status' | xargs)" = \
    'check done tools done version done serve done push done k0s done mirror done install done' ]
  [ "$(records one 'select(.kind == "bundle").signature')" = good ]
  [ "$(records one 'select(.kind == "image" and .status == "pushed").reference' | wc -l)" = "$(expected "$MEDIA/manifest.json" | wc -l)" ]
  [ "$(records one 'select(.kind == "step" and .name == "preflight").status')" = unchanged ]
  [ "$(records one 'select(.time).time | fromdate | now - . < 600' | sort -u)" = true ]
  grep -qx '  release   1.2.3, as its vendor signed it' err
  grep -qx '  registry  https://10.0.0.5:5000/k0rdent-enterprise' err
  grep -q "^  images    $(expected "$MEDIA/manifest.json" | wc -l), " err
  grep -qx '  k0s       v1.32.8+k0s.0' err

  # Nothing is done twice.
  looks one >before
  script one "${whole[@]}" -- --plan >out 2>err
  same "$(cat before)" "$(looks one)"
  [ "$(grep -c ' exists' err)" = "$(expected "$MEDIA/manifest.json" | wc -l)" ]

  # From a step on, and one alone, by what is remembered.
  script one --from mirror -- --plan >out 2>err
  same 'mirror install' "$(sed -n 's/^install.sh: step //p' err | xargs)"
  script one --only k0s >out 2>err
  same k0s "$(sed -n 's/^install.sh: step //p' err)"
  same "$(cat before)" "$(looks one)"
}

# published NAME: how much the registry there shows.
published() { on "$1" find $storage/repositories -name index.json 2>/dev/null | wc -l; }

@test "install.sh: a bundle that its vendor did not sign publishes nothing" {
  local size
  site one 10.0.0.5
  size=$(stat -c %s "$MEDIA/bundle.tgz")
  # Changed in the middle, cut short, signed by somebody else, and not at all.
  cp "$MEDIA/bundle.tgz" changed.tgz
  printf '\xa5\x5a' | dd of=changed.tgz bs=1 seek=$((size / 2)) conv=notrunc status=none
  head -c $((size - 1000)) "$MEDIA/bundle.tgz" >cut.tgz
  mkbundle --k0s stand-in --seed 5 --out other.tgz
  cp "$MEDIA/bundle.tgz" none.tgz
  for name in changed cut other; do cp "$MEDIA/bundle.tgz.sig" $name.tgz.sig; done
  tar c ./*.tgz ./*.sig | on one tar x --warning=no-timestamp -C /root
  openssl ecparam -name prime256v1 -genkey -noout -out other.pem
  openssl ec -in other.pem -pubout 2>/dev/null | on one tee /root/other.pub >/dev/null

  for name in changed cut other; do
    run -1 --separate-stderr script one --bundle /root/$name.tgz --key /media/cosign.pub
    echo "$name: $stderr"
    [[ $stderr == *'hint: when that is mended, go on with the same command and --from push'* ]]
    [ "$(published one)" = 0 ]
    [ "$(records one 'select(.by).name + " " + select(.by).status' | tail -n 1)" = 'push failed' ]
  done
  [ "$(records one 'select(.kind == "bundle").signature' | sort -u)" = bad ]
  run -1 --separate-stderr script one --bundle /media/bundle.tgz --key /root/other.pub
  [[ $stderr == *'bundle-verify: '* ]]
  run -1 --separate-stderr script one --bundle /root/none.tgz --key /media/cosign.pub
  [[ $stderr == *'/root/none.tgz.sig cannot be read'* ]]
  run -2 --separate-stderr script one --bundle /media/bundle.tgz
  [[ $stderr == *'which key?'* ]]
  [ "$(published one)" = 0 ]
  # The last error is in the log as well.
  [ "$(records one 'select(.by and .error).error' | tail -n 1)" = 'which key?' ]

  # What was sent of it is no harm to the right one.
  script one "${whole[@]}" --from serve -- --plan >out 2>err
  filled one
}

@test "install.sh: --no-verify is loud, and so is its variable" {
  site one 10.0.0.5
  for how in --no-verify K0RDENTD_VERIFY_SIGNATURE=false; do
    for step in check push; do
      args=(sh /media/release/install.sh --bundle /media/bundle.tgz)
      case $how in --*) args+=("$how") ;; *) args=("$how" "${args[@]}") ;; esac
      run -0 --separate-stderr on one env "${args[@]}" --from $step --plan
      [[ $stderr == *'WARNING: the bundle is taken UNVERIFIED'* ]]
    done
    run -0 --separate-stderr on one env "${args[@]}" -- --plan
    [ "$(grep -c 'WARNING: the bundle is taken UNVERIFIED' <<<"$stderr")" = 2 ]
    [[ $stderr == *$'\n  release   1.2.3, UNVERIFIED\n'* ]]
  done
  filled one
  run -2 --separate-stderr on one env K0RDENTD_VERIFY_SIGNATURE=flase sh /media/release/install.sh --bundle /media/bundle.tgz --plan
  told install.sh
  # A directory has no signature that could be verified.
  on one sh -c 'mkdir bundle && tar xzf /media/bundle.tgz -C bundle'
  run -1 --separate-stderr script one --bundle /root/bundle --key /media/cosign.pub --plan
  [[ $stderr == *'is a directory, which no signature is for'* ]]
  script one --bundle /root/bundle --no-verify -- --plan >out 2>err
  [ "$(grep -c ' exists' err)" = "$(expected "$MEDIA/manifest.json" | wc -l)" ]
}

@test "install.sh: misuse is told in a line, and changes nothing" {
  local line
  site one 10.0.0.5
  on one tee /tmp/archive <<<x >/dev/null
  while read -r line; do
    # shellcheck disable=SC2086 # words
    run -2 --separate-stderr script one $line
    told install.sh
    [ "$output" = '' ]
  done <<'END'
--no-such
operand
--bundle
--bundle /media/bundle.tgz --from nowhere
--bundle /media/bundle.tgz --from push --only push
--bundle /media/bundle.tgz --key /media/cosign.pub --purge
--bundle /media/bundle.tgz --key /media/cosign.pub --ca /media/ca.pem
--bundle /media/bundle.tgz --key /media/cosign.pub --username x --external-registry a.example
--uninstall --worker /tmp/archive
END
  run -2 --separate-stderr on one env K0RDENTD_REGISTRY_PORT=five sh /media/release/install.sh "${whole[@]}"
  told install.sh
  on one ip -V 2>/dev/null && false # so install.sh finds addresses without it
  nsenter --target "${hosts[one]}" --net ip addr add 10.0.0.6/24 dev eth0
  run -2 --separate-stderr script one "${whole[@]}" --plan
  told install.sh
  [[ $stderr == *'several addresses: 10.0.0.5 10.0.0.6'* ]]
  nsenter --target "${hosts[one]}" --net ip addr flush dev eth0
  run -2 --separate-stderr script one "${whole[@]}" --plan
  [[ $stderr == *'this host has no address'* ]]
  [ "$(looks one)" = '' ]
  run -0 script one --help
  run -0 script one --version
  [[ $output == 'install.sh '* ]]
  # Only root can do it, and everybody may see the plan.
  nsenter --target "${hosts[one]}" --net ip addr add 10.0.0.5/24 dev eth0
  as_nobody() { on one setpriv --reuid=nobody --clear-groups sh /media/release/install.sh "${whole[@]}" --host-address 10.0.0.5 "$@"; }
  run -1 --separate-stderr as_nobody
  told install.sh
  run -0 as_nobody --plan
}

# struck NAME TEXT COMMAND…: runs install.sh there, and when it has said TEXT, ends
# it and every other process of the host, as if the power had gone.
struck() {
  local name=$1 text=$2 line running said
  shift 2
  rm -f said
  mkfifo said
  script "$name" "$@" 2>said >/dev/null &
  running=$!
  exec {said}<said
  while IFS= read -r -u "$said" line; do
    [ "$line" != "$text" ] || break
  done
  [ "$line" = "$text" ]
  sleep "$(awk -v r=$RANDOM 'BEGIN {printf "%.3f", r / 32768 / 4}')" # somewhere in it
  on "$name" sh -c 'kill -KILL -1' || true
  wait $running || true
  exec {said}<&-
}

@test "install.sh: when the power goes at each step, the next run completes" {
  local step
  site one 10.0.0.5
  script one "${whole[@]}" -- --plan >out 2>err
  timeless one >whole
  site two 10.0.0.5
  for step in check tools version serve push k0s mirror install; do
    struck two "install.sh: step $step" "${whole[@]}" -- --plan
  done
  script two "${whole[@]}" -- --plan >out 2>err
  filled two
  same "$(cat whole)" "$(timeless two)"
  # Each line of the log is whole.
  [ "$(on two cat $log | jq -c . | wc -l)" = "$(on two cat $log | wc -l)" ]
  # And so when all of it is taken away.
  struck two 'install.sh: step uninstall' --uninstall --purge --yes || true
  script two --uninstall --purge --yes 2>err
  [ "$(looks two)" = '' ]
}

@test "install.sh: what fails is told with its step, and goes on from there" {
  site one 10.0.0.5
  # Something else is on the port.
  on one /media/release/bin/oci-serve --storage /root/other --host 0.0.0.0 --port 5000 --quiet >serve.out 2>serve.err &
  servers+=($!)
  until [ -s serve.out ]; do kill -0 $!; sleep 0.05; done
  run -75 --separate-stderr script one "${whole[@]}" -- --plan
  echo "$stderr"
  [[ $stderr == *'oci-serve does not start'*'--from serve'* ]]
  [ "$(records one 'select(.by).name + " " + select(.by).status' | tail -n 1)" = 'serve failed' ]
  # shellcheck disable=SC2016 # for the shell over there
  on one sh -c 'kill -TERM $(sed -n "s/.*\"pid\":\([0-9]*\).*/\1/p")' <serve.out
  wait "${servers[-1]}" || true

  # k0s is in the way.
  on one sh -c 'echo mine >/usr/local/bin/k0s; chmod +x /usr/local/bin/k0s'
  run -1 --separate-stderr script one "${whole[@]}" --from serve -- --plan
  [[ $stderr == *'/usr/local/bin/k0s: is there, and not a k0s'*'--from k0s'* ]]
  on one rm /usr/local/bin/k0s

  # The preflight finds something, here: k0s will not start with that.
  on one sh -c 'mkdir -p /etc/k0s; printf "apiVersion: k0s.k0sproject.io/v1beta1\nkind: ClusterConfig\nspec: {nonsense: 1}\n" >/etc/k0s/k0s.yaml'
  run -1 --separate-stderr script one "${whole[@]}" --from k0s -- --plan
  [[ $stderr == *'nonsense'*'--from install'* ]]
  on one rm /etc/k0s/k0s.yaml
  script one "${whole[@]}" --from install -- --plan 2>err
  filled one
}

@test "install.sh: a disk that is too small is told before, with numbers; a full one goes on" {
  local small=/srv/small
  site one 10.0.0.5
  mkbundle --k0s stand-in --size 24MiB --out large.tgz --manifest large.json
  on one tee /root/large.tgz <large.tgz >/dev/null
  on one sh -c "mkdir $small && mount -t tmpfs -o size=8m small $small"
  large() { on one env K0RDENTD_REGISTRY_STORAGE=$small/registry sh /media/release/install.sh --bundle /root/large.tgz --no-verify "$@"; }
  for how in --plan --; do
    run -1 --separate-stderr large $how
    echo "$stderr"
    [[ $stderr =~ "the bundle's content needs "[0-9]+" MiB in $small/registry, where 8 MiB are free" ]]
    [[ $stderr == *'hint: make room'* ]]
  done
  [ "$(on one ls -A $small)" = '' ]
  # Whoever knows better finds that out.
  run -1 --separate-stderr large --from serve -- --plan
  [[ $stderr == *"no space left on the registry's disk"*'--from push'* ]]
  on one /media/bin/audit $small/registry >some # what is published is whole
  # With more room, what lies there already is not asked for again.
  on one mount -o remount,size=20m $small
  [ "$(on one df --output=avail -k $small | tail -n 1)" -lt "$(($(stat -c %s large.tgz) / 1024))" ]
  large -- --plan 2>err
  same "$(expected large.json | sed 's,^,k0rdent-enterprise/,')" "$(on one /media/bin/audit $small/registry)"
}

@test "install.sh: the variables of the older daemon are honoured, and remembered" {
  site one 10.0.0.5
  nsenter --target "${hosts[one]}" --net ip addr add 10.0.1.5/24 dev eth0
  on one env K0RDENTD_REGISTRY_PORT=5555 K0RDENTD_REGISTRY_HOST=10.0.1.5 K0RDENTD_REGISTRY_STORAGE=/srv/reg \
    K0RDENTD_AIRGAP_BUNDLE_PATH=/media/bundle.tgz K0RDENT_COSIGN_KEY=/media/cosign.pub \
    sh /media/release/install.sh -- --plan 2>err
  same "$(expected "$MEDIA/manifest.json" | sed 's,^,k0rdent-enterprise/,')" "$(on one /media/bin/audit /srv/reg)"
  grep -qx '  registry  https://10.0.1.5:5555/k0rdent-enterprise' err
  # It listens there and on loopback, and nowhere else.
  same '10.0.1.5:5555 127.0.0.1:5555' "$(nsenter --target "${hosts[one]}" --net ss -Hltn | awk '{print $4}' | sort | xargs)"
  # The next run needs none of them to find it.
  looks one >before
  script one --from serve --bundle /media/bundle.tgz --key /media/cosign.pub -- --plan 2>err
  same "$(cat before)" "$(looks one)"
  # Nor does the one that takes it away.
  script one --uninstall --yes 2>err
  [ "$(on one ls /srv/reg)" != '' ]
  [[ $(cat err) == *'/srv/reg stays, until --uninstall --purge'* ]]
  script one --uninstall --purge --yes 2>err
  [ "$(looks one)" = '' ]
  [ "$(on one ls /srv)" = '' ]
}
