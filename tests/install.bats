#!/usr/bin/env bats
# install.sh on separate hosts, as far as possible without a cluster: to the end of
# k0rdent-install's plan, which has checked everything that the cluster and the
# platform will need. k0s is the stand-in of tests/k0s.
# shellcheck disable=SC2154,SC2034 # output and stderr are set by run; on uses there
# shellcheck disable=SC2016,SC2030,SC2031 # for shells over there; each test has its servers

load lib/helper
load lib/host
load lib/guide

# The input, once for all tests: the release archive, a bundle and its signature,
# and damaged ones.
setup_file() {
  local tool
  export MEDIA=$BATS_FILE_TMPDIR/media GUIDE=$ROOT/man/k0rdent-airgap.7
  mkdir -p "$MEDIA/release/bin" "$MEDIA/bin"
  for tool in $(tools); do ln "$ROOT/bin/$tool" "$MEDIA/release/bin" 2>/dev/null || cp "$ROOT/bin/$tool" "$MEDIA/release/bin"; done
  cp -r "$ROOT"/{install.sh,download.sh,lib/install,lib/systemd} "$MEDIA/release"
  cp "$(type -P audit)" "$MEDIA/bin"
  mkbundle --k0s stand-in --out "$MEDIA/bundle.tgz" --manifest "$MEDIA/manifest.json"
  openssl ecparam -name prime256v1 -genkey -noout -out "$BATS_FILE_TMPDIR/key.pem"
  openssl ec -in "$BATS_FILE_TMPDIR/key.pem" -pubout -out "$MEDIA/cosign.pub" 2>/dev/null
  openssl dgst -sha256 -sign "$BATS_FILE_TMPDIR/key.pem" "$MEDIA/bundle.tgz" | base64 -w0 >"$MEDIA/bundle.tgz.sig"
}

# site NAME ADDRESS: a host in a network, with a working stand-in for k0s.
site() {
  hosts
  there=(K0S_ROOT=/ K0S_LOG=/root/k0s.log)
  host "$1"
  address "$1" "$2/24"
}

# script NAME ARGUMENT…: install.sh there, as unpacked from the archive.
script() {
  local name=$1
  shift
  on "$name" sh /media/release/install.sh "$@"
}

# installed NAME: the host after a run to the end, which only the first test of this file
# makes that needs it, and after a reboot: its registry does not run.
installed() {
  local tar=$BATS_FILE_TMPDIR/installed.tar
  if [ ! -e "$tar" ]; then
    host installed
    address installed 10.0.0.5/24
    script installed "${whole[@]}" -- --plan 2>err
    on installed sh -c "kill $(serving installed); while [ -e /proc/$(serving installed) ]; do sleep 0.05; done"
    on installed tar c -C /written --exclude=./written . >"$tar.new"
    mv "$tar.new" "$tar"
  fi
  on "$1" tar x --warning=no-timestamp -C / <"$tar"
}

# running NAME ADDRESS: a site on which it is installed, and the registry runs.
running() {
  site "$1" "$2"
  installed "$1"
  script "$1" --only serve 2>err
}

# serving NAME: the process of the registry there.
serving() { on "$1" cat /run/k0rdent-airgap/oci-serve.record | jq .pid; }

# typed NAME SECTION N: an example of the guide there, in root's home.
typed() {
  guide "$2" "$3" >typed
  [ -s typed ]
  on "$1" sh -eu <typed
}

# whole: its common flags here.
whole=(--bundle /media/bundle.tgz --key /media/cosign.pub)

log=/var/log/k0rdent-airgap/install.ndjson
storage=/var/lib/k0rdentd/registry

# looks NAME: every file on the host, with kind, mode, time and size, except logs
# and the records of the last push and of written files.
looks() {
  on "$1" find /written ! -path '/written/var/log/*' ! -name k0s.log ! -path '*/install/*ed' ! -path '*/install/up' ! -type d -printf '%P %y %m %T@ %s\n' | sort
}

# timeless: the same without times, and without what differs between hosts:
# certificates, a registry's unfinished uploads, and the list of files that the
# last run had to write.
timeless() { looks "$1" | grep -v -e /tls/ -e '/ca\.crt ' -e /registry/uploads/ -e /registry/lock | awk '{print $1, $2, $3, $5}'; }

# records NAME FILTER: jq's output for the log there.
records() { on "$1" cat $log | jq -r "$2"; }

# filled NAME: the registry there has the whole bundle, and every byte is correct.
filled() { same "$(expected "$MEDIA/manifest.json" | sed 's,^,k0rdent-enterprise/,')" "$(on "$1" /media/bin/audit $storage)"; }

@test "install.sh: a plan shows every step and changes nothing" {
  site one 10.0.0.5
  run -0 --separate-stderr script one "${whole[@]}" --plan
  same 'check tools version serve push k0s mirror install' "$(sed -n 's/^# \([a-z0-9]*\)$/\1/p' <<<"$output" | xargs)"
  [[ $output =~ ' needs '[0-9.]+' MB in '$storage', where '[0-9.]+' '[MG]'B are free' ]]
  [[ $output == *$'\n# release 1.2.3, not verified yet\n'* ]]
  [[ $output == *"oci-serve --host 0.0.0.0 --port 5000 --storage $storage --tls auto --tls-name 10.0.0.5"* ]]
  [ "$stderr" = '' ]
  # Not even a log.
  [ "$(on one find /written -mindepth 1 ! -path /written/written)" = '' ]
  [ "$(on one find /tmp /run -type f)" = '' ]
  # Problems with it are reported, too.
  run -1 --separate-stderr script one --bundle /media/manifest.json --key /media/cosign.pub --plan
  explained bundle-verify
  [ "$(on one find /written -mindepth 1 ! -path /written/written)" = '' ]
}

@test "install.sh: a plan that is pasted does what a run does" {
  local name
  site one 10.0.0.5
  on one sh -c 'mkdir "/root/it'"'"'s here"; cp /media/cosign.pub "/root/it'"'"'s here/a \$(key)"'
  cp=("${whole[@]:0:2}" --key "/root/it's here/a \$(key)")
  script one "${cp[@]}" -- --plan >out 2>err
  timeless one >whole
  site two 10.0.0.5
  on two sh -c 'mkdir "/root/it'"'"'s here"; cp /media/cosign.pub "/root/it'"'"'s here/a \$(key)"'
  script two "${cp[@]}" --plan -- --plan >plan
  on two sh -e <plan >out 2>err || { cat err; false; }
  filled two
  same "$(cat whole)" "$(timeless two)"
  # A plan after the run has no file to write, and a running registry.
  run -0 script two "${cp[@]}" --plan
  [[ $output != *install\ -D* && $output != *setsid* ]]
  looks two >before
  script two --uninstall --purge --plan >plan
  same "$(cat before)" "$(looks two)"
  on two sh -e <plan >out 2>err || { cat err; false; }
  [ "$(looks two | grep -v "^root/it's here")" = '' ]
}

@test "install.sh: from the bundle to k0rdent-install's plan with only the tools, twice" {
  site one 10.0.0.5
  script one "${whole[@]}" -- --plan >out 2>err
  filled one
  [ "$(published one)" != 0 ]
  [ "$(on one k0s version)" = v1.32.8+k0s.0 ]
  same "$(printf '%s\n' amd64 arm64)" "$(on one sh -c "cd $storage/k0s && ls" | sed 's/^k0s-v1.32.8+k0s.0-//')"
  [ "$(on one stat -c '%a %U' $log)" = '600 root' ]
  [ "$(on one stat -c '%a %U' /var/log/k0rdent-airgap)" = '700 root' ]
  [ "$(on one find / -xdev -name '*.new' -o -xdev -path '/tmp/*')" = '' ]

  # The log is complete, and the report agrees.
  [ "$(records one 'select(.by).name + " " + select(.by).status' | xargs)" = \
    'check done tools done version done serve done push done k0s done mirror done install done' ]
  [ "$(records one 'select(.kind == "bundle").signature')" = good ]
  [ "$(records one 'select(.kind == "image" and .status == "pushed").reference' | wc -l)" = "$(expected "$MEDIA/manifest.json" | wc -l)" ]
  [ "$(records one 'select(.kind == "step" and .name == "preflight").status' | sort -u)" = unchanged ]
  [ "$(records one 'select(.time).time | fromdate | now - . < 600' | sort -u)" = true ]
  report=$(records one 'select(.name == "report").detail')
  [[ $report == "release: 1.2.3, signature verified; registry: https://10.0.0.5:5000/k0rdent-enterprise; pushed: $(expected "$MEDIA/manifest.json" | wc -l); the last push sent "*' kB; '* ]]
  grep -qF "report planned: $report" err
  [[ $(tail -1 err) == 'install.sh: the registry is filled; the cluster was only planned: '* ]]
  [ "$(records one 'select(.path == "/usr/local/bin/k0s").version' | sort -u)" = v1.32.8+k0s.0 ]

  # A plan does not need the bundle's name, a run does.
  same "$(script one "${whole[@]}" --plan)" "$(script one --plan)"
  # The state of the site: a registry, and no cluster yet.
  run -1 --separate-stderr script one --status
  same 'registry  https://10.0.0.5:5000/k0rdent-enterprise, served by this host from /var/lib/k0rdentd/registry
release   1.2.3' "$(head -n 2 <<<"$output")"
  [[ $output =~ $'\n''last run  step install done at 20'[0-9T:-]+Z ]]
  grep -q '^node  ' <<<"$output" && grep -q '^k0rdent  ' <<<"$output"
  run -2 --separate-stderr script one
  [[ $stderr == *'no bundle given'*'the last one was /media/bundle.tgz'* ]]

  # Nothing is done twice.
  looks one >before
  script one "${whole[@]}" -- --plan >out 2>err
  same "$(cat before)" "$(looks one)"
  [ "$(grep -c '^\[.* exists' err)" = "$(expected "$MEDIA/manifest.json" | wc -l)" ]

  # From a step on, and a single step, with remembered settings.
  script one --from mirror -- --plan >out 2>err
  same '[7/8] mirror [8/8] install' "$(begun err)"
  script one --only k0s >out 2>err
  same '[6/8] k0s' "$(begun err)"
  same "$(cat before)" "$(looks one)"
  # A step that took a second or more says how long: the registry does not answer.
  on one sh -c "kill -STOP $(serving one)"
  script one "${whole[@]}" --only push >out 2>err &
  until grep -q '\] push$' err; do kill -0 $!; sleep 0.05; done
  sleep 2
  on one sh -c "kill -CONT $(serving one)"
  wait $!
  grep -qE '^install.sh: \[5/8\] push done in [1-9][0-9]* s$' err

  # The copy for later has its other parts.
  on one sh -c 'cd /usr/local && cmp bin/k0rdent-airgap-install /media/release/install.sh && diff lib/k0rdent-airgap /media/release/install'
  same "$(script one --status)" "$(on one k0rdent-airgap-install --status)"
  run -0 on one k0rdent-airgap-install --export-worker /root/worker.tar.gz --plan
  [[ $output == *'cp -r /usr/local/lib/k0rdent-airgap '* ]]
  same "$(script one --uninstall --plan)" "$(on one k0rdent-airgap-install --uninstall --plan)"
}

@test "install.sh: without its other parts it says what is missing" {
  local flags
  site one 10.0.0.5
  mkdir -p "$MEDIA/alone" "$MEDIA/some"
  cp "$ROOT/install.sh" "$MEDIA/alone/"
  cp -r "$ROOT"/{install.sh,lib/install} "$MEDIA/some/"
  rm "$MEDIA/some/install/hosts.sh"
  for flags in --status '--uninstall --plan' '--export-worker /root/worker.tar.gz --plan' "${whole[*]} --plan"; do
    # shellcheck disable=SC2086 # words
    run -1 --separate-stderr on one sh /media/alone/install.sh $flags
    explained install.sh
    [[ $stderr == 'install.sh: the other parts of install.sh are missing'*'hint: unpack the whole release archive, '* ]]
    # shellcheck disable=SC2086 # words
    run -1 --separate-stderr on one sh /media/some/install.sh $flags
    explained install.sh
    [[ $stderr == 'install.sh: /media/some/install/hosts.sh is missing'* ]]
  done
  run -0 on one sh /media/alone/install.sh --help
  # A run that was killed while it replaced them has left old ones next to a new script.
  on one sh -c 'mkdir -p /usr/local/bin /usr/local/lib/k0rdent-airgap && cp /media/release/install.sh /usr/local/bin/k0rdent-airgap-install
    echo exit 3 | tee /usr/local/lib/k0rdent-airgap/hosts.sh >/usr/local/lib/k0rdent-airgap/run.sh.new'
  script one --only tools 2>err
  on one diff /usr/local/lib/k0rdent-airgap /media/release/install
  script one "${whole[@]}" --only check 2>err
  run -0 on one k0rdent-airgap-install --export-worker /root/worker.tar.gz --plan
  # The installed ones serve a copy of the installed script, and no other version.
  run -0 on one sh /media/alone/install.sh --export-worker /root/worker.tar.gz --plan
  echo '# newer' >>"$MEDIA/alone/install.sh"
  run -1 --separate-stderr on one sh /media/alone/install.sh --export-worker /root/worker.tar.gz --plan
  [[ $stderr == 'install.sh: the other parts of install.sh are missing'* ]]
  cp "$ROOT/install.sh" "$MEDIA/alone/"
  # Where others can add files, as in /tmp, those next to it are not used.
  on one sh -c 'cp /media/alone/install.sh /tmp/; mkdir /tmp/install /tmp/bin; chmod 1777 /tmp
    for file in install/run.sh bin/id bin/awk; do printf "#!/bin/sh\ntouch /root/owned\n" >/tmp/$file; chmod 755 /tmp/$file; done'
  run -0 on one sh /tmp/install.sh --export-worker /root/worker.tar.gz --plan
  run -1 on one test -e /root/owned
}

# published NAME: how many repositories of the registry there have a manifest, with
# or without a tag.
published() { on "$1" find $storage/repositories -type f ! -path '*/blobs/*' -exec grep -l sha256: {} + 2>/dev/null | wc -l; }

@test "install.sh: a bundle without the vendor's signature publishes nothing" {
  local size
  site one 10.0.0.5
  size=$(stat -c %s "$MEDIA/bundle.tgz")
  # Changed in the middle, truncated, signed by someone else, and unsigned.
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
    # The last message is to stop; nothing suggests to continue.
    [ "$(tail -n 1 <<<"$stderr")" = "hint: compare $name.tgz with the vendor's checksum and cosign.pub with a copy obtained by another route" ]
    [ "$(tail -n 2 <<<"$stderr" | head -n 1)" = 'install.sh: STOPPED: the bundle is not what the owner of cosign.pub signed; nothing was published' ]
    [[ $stderr != *'resume with'* ]]
    [ "$(published one)" = 0 ]
    [ "$(records one 'select(.by).name + " " + select(.by).status' | tail -n 1)" = 'push failed' ]
  done
  [ "$(records one 'select(.kind == "bundle").signature' | sort -u)" = bad ]
  run -1 --separate-stderr script one --bundle /media/bundle.tgz --key /root/other.pub
  [[ $stderr == *'bundle-verify: '* ]]
  run -1 --separate-stderr script one --bundle /root/none.tgz --key /media/cosign.pub
  [[ $stderr == *'/root/none.tgz: no signature: neither none.tgz.sig nor '* ]]
  run -2 --separate-stderr script one --bundle /media/bundle.tgz
  [[ $stderr == *'no key given'* ]]
  [ "$(published one)" = 0 ]
  # The last error is in the log as well.
  [ "$(records one 'select(.by and .error).error' | tail -n 1)" = 'no key given' ]

  # What it sent does not affect the right one.
  script one "${whole[@]}" --from serve -- --plan >out 2>err
  filled one
}

# further: two of the vendor's further bundles, signed, one of them in parts.
further() {
  [ ! -d "$MEDIA/further" ] || return 0
  mkdir "$MEDIA/further"
  (
    cd "$MEDIA/further" || return
    mkbundle --bundle bare-metal --out bm.tar.gz --manifest bm.json
    mkbundle --bundle ceph --out ceph.tar.gz --manifest ceph.json
    for name in bm ceph; do openssl dgst -sha256 -sign "$BATS_FILE_TMPDIR/key.pem" $name.tar.gz | base64 -w0 >$name.tar.gz.sig; done
    split -n 3 bm.tar.gz bm.tar.gz.part-
    sha256sum bm.tar.gz.part-?? >bm.tar.gz.sha256
    rm bm.tar.gz
  )
}

@test "install.sh: further bundles are added to a running site, verified like the first" {
  local kind
  running one 10.0.0.5
  further
  mkbundle --bundle bare-metal --seed 5 --out other.tgz
  cp "$MEDIA/further/bm.tar.gz.sig" other.tgz.sig
  tar c ./*.tgz ./*.sig | on one tar x --warning=no-timestamp -C /root
  run -1 --separate-stderr script one --add-bundle /root/other.tgz --key /media/cosign.pub
  [[ $stderr == *'STOPPED: the bundle is not what the owner of cosign.pub signed; nothing was published'* ]]
  run -1 --separate-stderr script one --add-bundle /media/bundle.tgz --key /media/cosign.pub
  [[ $stderr == *"is the platform's own bundle"* ]]
  run -2 --separate-stderr script one --add-bundle /root/other.tgz "${whole[@]}"
  [[ $stderr == *'--bundle and --add-bundle are mutually exclusive'* ]]
  filled one
  on one cat /var/lib/k0rdentd/install/pushed >before
  # The first part, a pattern, and a file.
  run -0 --separate-stderr script one --add-bundle '/media/further/bm.tar.gz*' --key /media/cosign.pub --plan
  [[ $output == *"bundle-verify --quiet --key /media/cosign.pub /media/further/bm.tar.gz.part-aa | bundle-version --quiet | oci-push "* ]]
  script one --add-bundle /media/further/bm.tar.gz.part-aa --key /media/cosign.pub 2>err
  grep -qx 'install.sh: the bundle is in https://10.0.0.5:5000; its files, if any, are at https://10.0.0.5:5000/files/' err
  script one --add-bundle /media/further/ceph.tar.gz --key /media/cosign.pub
  # Again, nothing is sent.
  records one 'select(.kind == "summary" and .tool == "oci-push").bytes // 0' >sent
  [ "$(grep -cx '[1-9][0-9]*' sent)" -ge 3 ]
  script one --add-bundle '/media/further/bm.tar.gz*' --key /media/cosign.pub 2>err
  [ "$(grep -c '^\[.* exists' err)" = "$(jq '.entries | length' "$MEDIA/further/bm.json")" ]
  [ "$(records one 'select(.kind == "summary" and .tool == "oci-push").bytes // 0' | tail -n 1)" = 0 ]
  on one cat /var/lib/k0rdentd/install/pushed | cmp before -
  {
    expected "$MEDIA/manifest.json" | sed 's,^,k0rdent-enterprise/,'
    expected "$MEDIA/further/bm.json"
    expected "$MEDIA/further/ceph.json" | sed 's,^,ceph/,'
  } | sort >want
  # The storage's own indexes follow a push after a moment; the API has it at once.
  on one /media/release/bin/bundle-ls --registry 127.0.0.1:5000 --ca $storage/tls/ca.pem --quiet \
    --format '{{.repository}} {{.tag}} {{.digest}}' | sort >all
  grep -v '^files/' all >have
  diff want have
  [ "$(grep -c '^files/k0rdent-bm/' all)" = 4 ]
  [ "$(records one 'select(.kind == "version" and .type).type' | sort -u | xargs)" = 'bare-metal ceph' ]
}

@test "install.sh: --no-verify warns, and so does its variable" {
  site one 10.0.0.5
  for how in --no-verify K0RDENTD_VERIFY_SIGNATURE=false; do
    for step in check push; do
      args=(sh /media/release/install.sh --bundle /media/bundle.tgz)
      case $how in --*) args+=("$how") ;; *) args=("$how" "${args[@]}") ;; esac
      run -0 --separate-stderr on one env "${args[@]}" --from $step --plan
      [[ $stderr == *'WARNING: the bundle is used UNVERIFIED'* ]]
    done
    run -0 --separate-stderr on one env "${args[@]}" -- --plan
    [ "$(grep -c 'WARNING: the bundle is used UNVERIFIED' <<<"$stderr")" = 2 ]
    [[ $stderr == *'release: 1.2.3, UNVERIFIED; '* ]]
  done
  filled one
  run -2 --separate-stderr on one env K0RDENTD_VERIFY_SIGNATURE=flase sh /media/release/install.sh --bundle /media/bundle.tgz --plan
  explained install.sh
  # A directory has no signature to verify.
  on one sh -c 'mkdir bundle && tar xzf /media/bundle.tgz -C bundle'
  run -1 --separate-stderr script one --bundle /root/bundle --key /media/cosign.pub --plan
  [[ $stderr == *'a directory; the vendor signs a single file'* ]]
  script one --bundle /root/bundle --no-verify -- --plan >out 2>err
  [ "$(grep -c '^\[.* exists' err)" = "$(expected "$MEDIA/manifest.json" | wc -l)" ]
}

@test "install.sh: misuse is reported in one line, and changes nothing" {
  local line
  site one 10.0.0.5
  on one tee /tmp/archive <<<x >/dev/null
  while read -r line; do
    # shellcheck disable=SC2086 # words
    run -2 --separate-stderr script one $line
    explained install.sh
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
--uninstall -- --plan
--uninstall --only serve
--worker /tmp/archive -- --plan
--export-worker /tmp/packed --from serve
--export-worker /tmp/packed -- --plan
--external-registry http://a.example --bundle /media/bundle.tgz --key /media/cosign.pub
--external-registry a.example/Upper --bundle /media/bundle.tgz --key /media/cosign.pub --plan
--external-registry a.example//x --bundle /media/bundle.tgz --key /media/cosign.pub --plan
--external-registry :5000/x --bundle /media/bundle.tgz --key /media/cosign.pub --plan
END
  while IFS=: read -r line problem; do
    # shellcheck disable=SC2086 # words
    run -2 --separate-stderr script one $line
    [[ $stderr == "install.sh: $problem"* ]]
  done <<'END'
--budle x:unknown flag --budle (did you mean --bundle?)
--xyz:unknown flag --xyz
status:unexpected argument "status" (did you mean --status?)
--from psuh:invalid --from "psuh": must be one of check tools version serve push k0s mirror install
--only=nowhere:invalid --only "nowhere": must be one of check tools version serve push k0s mirror install
--username x:--username requires --password-file
--uninstall --only serve:--only and --uninstall are mutually exclusive
--bundle=:--bundle requires a value
END
  run -2 --separate-stderr script one bundle.tgz
  [[ $stderr == 'install.sh: unexpected argument "bundle.tgz" (did you mean --bundle bundle.tgz?)'* ]]
  run -1 --separate-stderr script one --status
  [[ $stderr == *'nothing is installed on this host'* ]]
  run -1 --separate-stderr script one --add-bundle /media/bundle.tgz --key /media/cosign.pub
  [[ $stderr == *'no registry is known on this host'* ]]
  run -1 --separate-stderr script one "${whole[@]}" --external-registry a.example --ca /media/none.pem --plan
  explained install.sh
  [[ $stderr == *'/media/none.pem cannot be read'* ]]
  on one ln -s /var/lib /srv/link
  for port in five 0 08 65536 99999; do
    run -2 --separate-stderr on one env K0RDENTD_REGISTRY_PORT=$port sh /media/release/install.sh "${whole[@]}"
    explained install.sh
  done
  for at in x 256.1.1.1 10.0.0 10.0.0.5.6 127.0.0.1 ::1 g::1 ::; do
    [ $at = :: ] || run -2 --separate-stderr script one "${whole[@]}" --host-address $at
    explained install.sh
    run -2 --separate-stderr on one env K0RDENTD_REGISTRY_HOST=$at sh /media/release/install.sh "${whole[@]}"
    explained install.sh
  done
  for dir in / /var //var /var/lib/./k0rdentd /srv/link /var/lib/k0rdentd/ /var/lib/k0rdentd/install /var/lib/k0rdentd/install/registry /srv/../var/lib; do
    run -2 --separate-stderr on one env K0RDENTD_REGISTRY_STORAGE=$dir sh /media/release/install.sh "${whole[@]}"
    explained install.sh
  done
  on one ip -V 2>/dev/null && false # so install.sh finds addresses without it
  nsenter --target "${hosts[one]}" --net ip addr add 10.0.0.6/24 dev eth0
  run -2 --separate-stderr script one "${whole[@]}" --plan
  explained install.sh
  [[ $stderr == *'several addresses: 10.0.0.5 10.0.0.6'* ]]
  nsenter --target "${hosts[one]}" --net ip addr flush dev eth0
  run -2 --separate-stderr script one "${whole[@]}" --plan
  [[ $stderr == *'this host has no address'* ]]
  on one rm /srv/link
  [ "$(looks one)" = '' ]
  run -0 script one --help
  run -0 script one --version
  [[ $output == 'install.sh '* ]]
  # Only root can run it, but anyone may see the plan.
  nsenter --target "${hosts[one]}" --net ip addr add 10.0.0.5/24 dev eth0
  as_nobody() { on one setpriv --reuid=nobody --clear-groups sh /media/release/install.sh "${whole[@]}" --host-address 10.0.0.5 "$@"; }
  run -1 --separate-stderr as_nobody
  explained install.sh
  run -0 as_nobody --plan
}

# begun FILE: the steps that install.sh reported.
begun() { sed -nE 's/^install.sh: (\[[0-9]\/[0-9]\] [a-z0-9]+)$/\1/p' "$1" | xargs; }

# struck NAME STEP COMMAND…: runs install.sh there, and once it has begun STEP, kills
# it and every other process of the host, like a power cut.
struck() {
  local name=$1 text=$2 line='' running messages
  shift 2
  rm -f messages
  mkfifo messages
  script "$name" "$@" 2>messages >/dev/null &
  running=$!
  exec {messages}<messages
  while IFS= read -r -u "$messages" line; do
    [[ $line != "install.sh: "*"] $text" ]] || break
  done
  [[ $line == "install.sh: "*"] $text" ]]
  sleep "$(awk -v r=$RANDOM 'BEGIN {printf "%.3f", r / 32768 / 4}')" # somewhere in it
  on "$name" sh -c 'kill -KILL -1' || true
  wait $running || true
  exec {messages}<&-
}

@test "install.sh: after a power cut at each step, the next run completes" {
  local step
  site one 10.0.0.5
  installed one
  timeless one >whole
  site two 10.0.0.5
  for step in check tools version serve push k0s mirror install; do
    struck two "$step" "${whole[@]}" -- --plan
  done
  script two "${whole[@]}" -- --plan >out 2>err
  filled two
  same "$(cat whole)" "$(timeless two)"
  # Each line of the log is complete.
  [ "$(on two cat $log | jq -c . | wc -l)" = "$(on two cat $log | wc -l)" ]
  # The same for --uninstall.
  struck two uninstall --uninstall --purge --yes
  script two --uninstall --purge --yes 2>err || { cat err; false; }
  [ "$(looks two)" = '' ]
}

# pressed NAME TEXT COMMAND…: runs install.sh there as on a terminal, and when a line
# of it has ended with TEXT, presses control-C: everything in the foreground gets
# SIGINT. With $signal, only the script gets that.
pressed() {
  local name=$1 text=$2 line='' running messages
  shift 2
  rm -f messages
  mkfifo messages
  on "$name" setsid --wait sh -c 'echo $$ >/run/pressed; exec env --default-signal=INT sh /media/release/install.sh "$@"' sh "$@" 2>messages >/dev/null &
  running=$!
  exec {messages}<messages
  while IFS= read -r -u "$messages" line && [[ $line != *"$text" ]]; do :; done
  [[ $line == *"$text" ]]
  if [ -n "${signal-}" ]; then
    on "$name" sh -c "kill -$signal \$(cat /run/pressed)"
  else
    on "$name" sh -c 'kill -INT "-$(cat /run/pressed)"'
  fi
  timeout 120 cat <&"$messages" >after || return # a process that it started is left
  wait $running
}

@test "install.sh: control-C or SIGTERM ends it at once, and not the registry; the next run completes" {
  local step pid signal count=1
  site one 10.0.0.5
  for step in push install push; do
    [ -z "${pid-}" ] || [ $step = install ] || signal=TERM count=2
    if [ -z "${signal-}" ]; then
      run -130 pressed one "] $step" "${whole[@]}" -- --plan
    else
      # The registry does not answer, so oci-push is in the middle of a push.
      on one sh -c "kill -STOP $pid"
      run -130 pressed one 'waiting for the first answer of 127.0.0.1:5000' "${whole[@]}" -- --plan
      on one sh -c "kill -CONT $pid"
      grep -qx 'oci-push: interrupted' after
    fi
    # The last message is what was interrupted, and after how long; the log has it once.
    [[ "$(tail -n 1 after)" =~ ^"install.sh: interrupted in step $step after "[0-9]+" s; run the same command to continue where it stopped"$ ]]
    [ "$(records one 'select(.by) | "\(.name) \(.status) \(.error)"' | tail -n 1)" = "$step failed interrupted" ]
    [ "$(records one 'select(.by and .status == "failed").name' | grep -c "^$step$")" = $count ]
    [ "$(on one find /tmp -mindepth 1)" = '' ]
    pid=$(serving one)
    [ "$(on one readlink "/proc/$pid/exe")" = /usr/local/bin/oci-serve ]
    [ "$(on one find /proc -maxdepth 2 -name exe -lname '*/bin/oci-push')" = '' ]
  done
  script one "${whole[@]}" -- --plan 2>err
  filled one
  [ "$(serving one)" = "$pid" ]
  # Without systemd, this is the next command after a boot.
  on one sh -c "kill -KILL $pid"
  script one --only serve 2>err
  [ "$(serving one)" != "$pid" ]
}

@test "install.sh: a failure names its step, and the next run resumes there" {
  site one 10.0.0.5
  # The port is in use.
  on one /media/release/bin/oci-serve --storage /root/other --host 0.0.0.0 --port 5000 --quiet >serve.out 2>serve.err &
  servers+=($!)
  until [ -s serve.out ]; do kill -0 $!; sleep 0.05; done
  run -75 --separate-stderr script one "${whole[@]}" -- --plan
  echo "$stderr"
  [[ $stderr == *"port 5000 is in use by oci-serve (process "*'K0RDENTD_REGISTRY_PORT'*$'\ninstall.sh: step serve failed after '[0-9]*' s; fix that, then resume with the same command and --from serve' ]]
  [ "$(records one 'select(.by).name + " " + select(.by).status' | tail -n 1)" = 'serve failed' ]
  on one sh -c 'kill -TERM $(sed -n "s/.*\"pid\":\([0-9]*\).*/\1/p")' <serve.out
  wait "${servers[-1]}" || true

  # A k0s is in the way.
  on one sh -c 'echo mine >/usr/local/bin/k0s; chmod +x /usr/local/bin/k0s'
  run -1 --separate-stderr script one "${whole[@]}" --from serve -- --plan
  [[ $stderr == *'/usr/local/bin/k0s: exists but is not a working k0s binary'*'--from k0s'* ]]
  on one rm /usr/local/bin/k0s

  # The preflight finds a problem; here: k0s will not start with it.
  on one sh -c 'mkdir -p /etc/k0s; printf "apiVersion: k0s.k0sproject.io/v1beta1\nkind: ClusterConfig\nspec: {nonsense: 1}\n" >/etc/k0s/k0s.yaml'
  run -1 --separate-stderr script one "${whole[@]}" --from k0s -- --plan
  [[ $stderr == *'nonsense'*'--from install'* ]]
  on one rm /etc/k0s/k0s.yaml
  script one "${whole[@]}" --from install -- --plan 2>err
  filled one

  # An impossible registry is reported before anything begins.
  run -2 --separate-stderr on one timeout 60 sh /media/release/install.sh "${whole[@]}" --external-registry 'far.example/A B'
  [[ $stderr == *'invalid --external-registry "far.example/A B"'* ]]
  [ "$(on one find /proc -maxdepth 2 -name exe -lname '*/bin/bundle-verify')" = '' ]
  # That was a mistake, and this host serves after all.
  run -0 --separate-stderr script one "${whole[@]}" --external-registry none -- --plan
  [[ $stderr == *'; registry: https://10.0.0.5:5000/k0rdent-enterprise; '* ]]
}

@test 'a bundle without k0s: resume with the step that reads the next bundle' {
  site one 10.55.0.5
  on one sh -c 'mkdir -p /var/lib/k0rdentd/install && echo {} >/var/lib/k0rdentd/install/pushed'
  run -1 --separate-stderr script one "${whole[@]}" --from k0s
  [[ $stderr == *'the bundle holds no k0s'*'hint: get a bundle that holds one'*'--from version'* ]]
}

@test "install.sh: a disk that is too small is reported before the run, with numbers; after a full one, the run resumes" {
  local small=/srv/small
  site one 10.0.0.5
  mkbundle --k0s stand-in --size 24MiB --out large.tgz --manifest large.json
  on one tee /root/large.tgz <large.tgz >/dev/null
  on one sh -c "mkdir $small && mount -t tmpfs -o size=8m small $small"
  large() { on one env K0RDENTD_REGISTRY_STORAGE=$small/registry sh /media/release/install.sh --bundle /root/large.tgz --no-verify "$@"; }
  for how in --plan --; do
    run -1 --separate-stderr large $how
    echo "$stderr"
    [[ $stderr =~ "the bundle's content needs "[0-9.]+" MB in $small/registry, where 8.4 MB are free" ]]
    [[ $stderr == *'hint: make room'* ]]
  done
  [ "$(on one ls -A $small)" = '' ]
  # So is a bundle of more than 10 TiB, whose last part is not read for that.
  on one sh -c "cp /media/bundle.tgz /root/huge.tgz.001; cp /media/bundle.tgz.sig /root/huge.tgz.sig; truncate -s 12T /root/huge.tgz.002"
  run -1 --separate-stderr script one --bundle /root/huge.tgz.001 --key /media/cosign.pub --plan
  [[ $stderr == *"the bundle's content needs 13853."[0-9]' GB in '* ]] || { echo "$stderr"; false; }
  # Those who ignore the check run into it.
  run -1 --separate-stderr large --from serve -- --plan
  echo "$stderr"
  [[ $stderr == *"no space left on the registry's disk"*'--from push'* ]]
  on one /media/bin/audit $small/registry >some # what is published is complete
  # With more space, what is already stored is not requested again.
  on one mount -o remount,size=20m $small
  [ "$(on one df --output=avail -k $small | tail -n 1)" -lt "$(($(stat -c %s large.tgz) / 1024))" ]
  large -- --plan 2>err
  same "$(expected large.json | sed 's,^,k0rdent-enterprise/,')" "$(on one /media/bin/audit $small/registry)"
}

@test "install.sh: without space for notes or a copy, the error names the full directory" {
  local dir
  running one 10.0.0.5
  # full DIR: hides DIR under a full file system.
  full() { on one sh -euc 'cp -a "$1/." /tmp/kept; mount -t tmpfs -o size=16k,mode=700 full "$1"; cp -a /tmp/kept/site "$1" 2>/dev/null || :; cat /dev/zero >"$1/zero" 2>/dev/null || :; rm -r /tmp/kept' sh "$1"; }
  dir=/var/lib/k0rdentd/install
  full $dir
  for step in version k0s mirror; do
    run -1 --separate-stderr script one --only $step --bundle /media/bundle.tgz
    echo "$stderr"
    [[ $stderr == *"install.sh: cannot write to $dir"$'\nhint: make room there'* ]]
    [[ $stderr != *error* && $stderr != *'No space left'* ]]
  done
  on one umount $dir
  # The copy of an archive goes to TMPDIR.
  full /mnt
  on one sh -c 'head -c 100000 /dev/urandom >/root/archive'
  run -1 --separate-stderr on one env TMPDIR=/mnt sh /media/release/install.sh --worker /root/archive --digest "$(printf '%064d' 0)"
  [ "$(head -n 1 <<<"$stderr")" = 'install.sh: cannot write to /mnt: /root/archive does not fit' ]
  [ "$(on one ls /mnt)" = zero ]
  script one "${whole[@]}" -- --plan 2>err
}

@test "install.sh: the variables of the older daemon are honoured, and remembered" {
  site one 10.0.0.5
  nsenter --target "${hosts[one]}" --net ip addr add 10.0.1.5/24 dev eth0
  on one env K0RDENTD_REGISTRY_PORT=5555 K0RDENTD_REGISTRY_HOST=10.0.1.5 K0RDENTD_REGISTRY_STORAGE=/srv/reg \
    K0RDENTD_AIRGAP_BUNDLE_PATH=/media/bundle.tgz K0RDENT_COSIGN_KEY=/media/cosign.pub \
    sh /media/release/install.sh --log /srv/log/install.ndjson -- --plan 2>err
  [ "$(on one cat /srv/log/install.ndjson | jq -c 'select(.kind == "image" and .status)' | wc -l)" = "$(expected "$MEDIA/manifest.json" | wc -l)" ]
  [ "$(on one find /var/log -name '*.ndjson')" = '' ]
  same "$(expected "$MEDIA/manifest.json" | sed 's,^,k0rdent-enterprise/,')" "$(on one /media/bin/audit /srv/reg)"
  grep -qF '; registry: https://10.0.1.5:5555/k0rdent-enterprise; ' err
  # It listens there and on loopback, and nowhere else.
  same '10.0.1.5:5555 127.0.0.1:5555' "$(nsenter --target "${hosts[one]}" --net ss -Hltn | awk '{print $4}' | sort | xargs)"
  # The next run needs none of them to find it.
  looks one | grep -v /log/ >before
  script one --from serve --bundle /media/bundle.tgz --key /media/cosign.pub -- --plan 2>err
  same "$(cat before)" "$(looks one | grep -v /log/)"
  # Nor does --uninstall.
  script one --uninstall --yes 2>err
  on one test -e /srv/reg/k0s/k0s-v1.32.8+k0s.0-amd64 -a -d /srv/reg/blobs
  [[ $(cat err) == *'/srv/reg stays, until --uninstall --purge'* ]]
  run -1 script one --status
  [[ $output == *$'\n''node      k0s is not installed'$'\n'* ]]
  script one --uninstall --purge --yes 2>err
  [ "$(looks one)" = '' ]
  [ "$(on one ls /srv)" = '' ]
}

# external PROGRAM: someone else's registry on a host far-PROGRAM, with TLS by the
# site's own authority and a password.
external() {
  local dir=$MEDIA/external far=far-$1
  if [ ! -d "$dir" ]; then
    mkdir "$dir"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj '/CN=site CA' \
      -addext basicConstraints=critical,CA:TRUE -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj '/CN=registry' \
      -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:10.0.0.6,DNS:harbor.site.example \
      -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -keyout "$dir/tls.key" -out "$dir/tls.pem" 2>/dev/null
    echo 'admin:$2a$04$5J6kfuMME1ZNy/j6Qsgz7eHBz24KbQ6mXXY22zXC4TO7Gdgc2eag2' >"$dir/htpasswd"
    echo s3cret-and-more >"$dir/password"
    echo something-else >"$dir/wrong"
    cat >"$dir/registry.yml" <<'Y'
version: 0.1
storage: {filesystem: {rootdirectory: /srv/registry}}
http:
  addr: 0.0.0.0:443
  tls: {certificate: /media/external/tls.pem, key: /media/external/tls.key}
auth: {htpasswd: {realm: site, path: /media/external/htpasswd}}
Y
  fi
  case $1 in
  oci-serve)
    set -- /media/release/bin/oci-serve --port 443 --storage /srv/registry --read auth --htpasswd /media/external/htpasswd \
      --tls-cert /media/external/tls.pem --tls-key /media/external/tls.key
    ;;
  *)
    cp "$(type -P "$1")" "$MEDIA/external/"
    set -- "/media/external/$1" serve /media/external/registry.yml
    ;;
  esac
  on "$far" "$@" >far.log 2>&1 &
  servers+=($!)
  until on "$far" sh -c 'grep -q :01BB /proc/net/tcp /proc/net/tcp6'; do kill -0 $!; sleep 0.05; done
}

# home NAME: what the guide assumes in root's home: the unpacked release archive, and
# next to it the bundle.
home() { on "$1" ln -s /media/release/{install.sh,bin,systemd} /media/{bundle.tgz,bundle.tgz.sig,cosign.pub} /root; }

@test "install.sh: to a registry of the site's own, with its authority and a password" {
  local program flags one count
  need openssl docker-registry
  hosts
  count=$(expected "$MEDIA/manifest.json" | wc -l)
  for program in oci-serve docker-registry; do
    one=one-$program
    there=(K0S_ROOT=/ K0S_LOG=/root/k0s.log)
    host "$one"
    host "far-$program"
    wire "$one" 10.0.0.5/24 "far-$program" 10.0.0.6/24
    external $program
    home "$one"
    on "$one" sh -c 'echo 10.0.0.6 harbor.site.example >>/etc/hosts; cp /media/external/ca.pem site-ca.pem; cp /media/external/password harbor.password'
    looks "$one" >before
    flags=(--external-registry 10.0.0.6/site/k0rdent --ca /media/external/ca.pem --username admin)
    run -0 script "$one" "${whole[@]}" "${flags[@]}" --password-file /media/external/password --plan
    [[ $output == *$'\n# nothing: 10.0.0.6/site/k0rdent serves\n'* ]]
    same "$(cat before)" "$(looks "$one")"
    run -1 --separate-stderr script "$one" "${whole[@]}" "${flags[@]}" --password-file /media/external/wrong -- --plan
    [[ $stderr == *'--from push'* ]]

    # As in the guide.
    there+=(K0RDENT_INSTALL_PLAN=true K0S_UP_PLAN=true)
    typed "$one" 'A registry that outlives a host' 1 >out 2>err || { tail -n 20 err; false; }
    grep -qF '; registry: https://harbor.site.example/k0rdent-enterprise; ' err
    [ "$(records "$one" 'select(.kind == "image" and .status == "pushed").reference' | sort -u | wc -l)" = "$count" ]
    [ "$(records "$one" 'select(.kind == "step" and .name == "preflight").status' | tail -n 1)" = unchanged ]
    [ "$(on "$one" k0s version)" = v1.32.8+k0s.0 ]
    # This host serves nothing, and k0s's containerd uses the other one, with the password.
    [ "$(on "$one" ls /var/lib/k0rdentd)" = install ]
    [ "$(nsenter --target "${hosts[$one]}" --net ss -Hltn)" = '' ]
    on "$one" grep -q 'https://harbor.site.example/v2/k0rdent-enterprise' /etc/k0s/certs.d/_default/hosts.toml
    [ "$(on "$one" grep -rlF s3cret-and-more /var /usr /tmp)" = '' ]
    # A further bundle goes there, too.
    further
    script "$one" --add-bundle '/media/further/bm.tar.gz.part-??' --key /media/cosign.pub 2>err
    grep -qx 'install.sh: the bundle is in https://harbor.site.example; oci-push --files DIR writes its files, if any, for an HTTP server' err
    on "$one" /media/release/bin/bundle-ls --registry harbor.site.example --ca /root/site-ca.pem --username admin --password-file /root/harbor.password --quiet \
      --format '{{.repository}} {{.tag}} {{.digest}}' | grep -v -e '^files/' -e '^k0rdent-enterprise/' | sort >have
    expected "$MEDIA/further/bm.json" | diff - have
    script "$one" --add-bundle /media/further/bm.tar.gz.part-aa --key /media/cosign.pub 2>err
    [ "$(grep -c '^\[.* exists' err)" = "$(jq '.entries | length' "$MEDIA/further/bm.json")" ]
    # The next run knows it, and so does --uninstall.
    script "$one" "${whole[@]}" >out 2>err
    [ "$(grep -c '^\[.* exists' err)" = "$count" ]
    there=(K0S_ROOT=/ K0S_LOG=/root/k0s.log)
    script "$one" --uninstall --purge --yes 2>err
    same "$(cat before)" "$(looks "$one")"
  done
}

@test "install.sh: a download resumes where it stopped, and is verified" {
  local program at
  need openssl curl shasum wget
  mkbundle --k0s stand-in --size 2MiB --out bundle.tgz
  mkdir -p served/1.2.3 bin
  mv bundle.tgz served/1.2.3/airgap-bundle-1.2.3.tar.gz
  mkk0s --out served/1.2.3/k0s-v1.32.8+k0s.0-amd64
  mkk0s --arch arm64 --out served/1.2.3/k0s-v1.32.8-k0s.0-arm64
  cp "$MEDIA/cosign.pub" served/
  for at in served/1.2.3/*; do openssl dgst -sha256 -sign "$BATS_FILE_TMPDIR/key.pem" "$at" | base64 -w0 >"$at.sig"; done
  exec {requests}< <(exec cutoff -after 700000 served 3>&-)
  servers+=($!)
  read -r at <&"$requests"
  export K0RDENT_DOWNLOAD_URL=http://$at

  # install.sh passes the flag on to the script.
  run -0 sh "$ROOT/install.sh" --download 1.2.3 --plan
  [ "$(grep -c "^http://$at/" <<<"$output")" -ge 3 ]
  # The downloader alone is on the PATH, with what every system has: once as on Linux,
  # once as on macOS.
  for program in sh dirname basename tr mv rm mkdir wc sleep head tail sha256sum; do ln -s "$(type -P $program)" bin/; done
  printf '#!/bin/sh\nexec %s --posix "$@"\n' "$(type -P sed)" >bin/sed
  chmod +x bin/sed
  for program in curl wget; do
    ln -s "$(type -P $program)" bin/
    mkdir $program
    # The bundle arrives in three pieces, and once there is no server to continue.
    (cd $program && head -c 100000 ../served/1.2.3/airgap-bundle-1.2.3.tar.gz >airgap-bundle-1.2.3.tar.gz.part &&
      PATH=$PWD/../bin sh "$ROOT/download.sh" 1.2.3 >out 2>err) || { tail $program/err; false; }
    [ "$(cat $program/out)" = '' ]
    cmp served/1.2.3/airgap-bundle-1.2.3.tar.gz $program/airgap-bundle-1.2.3.tar.gz
    cmp served/1.2.3/k0s-v1.32.8+k0s.0-amd64 $program/k0s-v1.32.8+k0s.0-amd64
    cmp served/1.2.3/k0s-v1.32.8-k0s.0-arm64 $program/k0s-v1.32.8+k0s.0-arm64
    [ "$(find $program -name '*.part')" = '' ]
    [[ $(tail -n 2 $program/err | head -n 1) == 'download.sh: carry these files into the site: '*airgap-bundle-1.2.3.tar.gz.sig*cosign.pub*k0s-v1.32.8+k0s.0-arm64* ]]
    # It is what the next command requires.
    bundle-verify --quiet --key $program/cosign.pub $program/airgap-bundle-1.2.3.tar.gz >/dev/null
    # In parts, each of which breaks off as well, and is there once: then joined, they
    # are the file.
    mkdir $program.parts
    (cd $program.parts && PATH=$PWD/../bin sh "$ROOT/download.sh" 1.2.3 --parts 1M >out 2>err) || { tail $program.parts/err; false; }
    same "$(printf 'airgap-bundle-1.2.3.tar.gz.%s\n' part-001 part-002 sha256 sig)" "$(cd $program.parts && ls airgap-*)"
    [ "$(stat -c %s $program.parts/*part-001)" = 1048576 ]
    cat $program.parts/*part-00? | cmp - served/1.2.3/airgap-bundle-1.2.3.tar.gz
    (cd $program.parts && sha256sum --quiet -c airgap-bundle-1.2.3.tar.gz.sha256)
    [[ $(tail -n 2 $program.parts/err | head -n 1) == 'download.sh: carry these files into the site: '*'airgap-bundle-1.2.3.tar.gz.part-*, '*.sha256,*.sig,*k0s-v1.32.8+k0s.0-arm64* ]]
    cmp served/1.2.3/k0s-v1.32.8-k0s.0-arm64 $program.parts/k0s-v1.32.8+k0s.0-arm64
    rm bin/$program
    ln -sf "$(type -P shasum)" bin/shasum
    rm -f bin/sha256sum
  done
  # A part of another size is not taken for one of these, and neither is a wrong one.
  run -2 bash -c 'cd curl.parts && sh "$ROOT/download.sh" 1.2.3 --parts 1K'
  [[ $output == *'invalid --parts: '*' bytes would be more than 999 parts'* ]]
  run -1 bash -c 'cd curl.parts && sh "$ROOT/download.sh" 1.2.3 --parts 900K'
  [[ $output == *'part-001 has 1048576 bytes, not 921600: it is from another download'* ]]
  printf x | dd of=curl.parts/airgap-bundle-1.2.3.tar.gz.part-002 bs=1 seek=1000 conv=notrunc status=none
  run -1 bash -c 'cd curl.parts && sh "$ROOT/download.sh" 1.2.3 --parts 1M'
  [[ $output == *'airgap-bundle-1.2.3.tar.gz.part-001 is not what its vendor signed'*'hint: remove airgap-bundle-1.2.3.tar.gz.part-* and airgap-bundle-1.2.3.tar.gz.sig,'* ]]
  # The second time, it requests nothing.
  (cd curl && sh "$ROOT/download.sh" 1.2.3) 2>err
  # A change on the way is detected and reported.
  printf x >>curl/airgap-bundle-1.2.3.tar.gz
  run -1 bash -c 'cd curl && sh "$ROOT/download.sh" 1.2.3'
  [[ $output == *'airgap-bundle-1.2.3.tar.gz is not what its vendor signed'*'hint: remove it'* ]]
  # What the server does not have is named.
  rm served/1.2.3/k0s-v1.32.8-k0s.0-arm64.sig
  run -0 --separate-stderr bash -c 'mkdir less && cd less && sh "$ROOT/download.sh" 1.2.3'
  [[ $stderr == *'the server has no signed k0s-v1.32.8+k0s.0-arm64, which '*'carry these files into the site: '* && $stderr != *'no signed'*'no signed'* ]]
  # There is no such release, and no server.
  run -1 --separate-stderr bash -c 'mkdir none && cd none && sh "$ROOT/download.sh" 9.9.9'
  [[ $stderr == *"the server has neither http://$at/9.9.9/airgap-bundle-9.9.9.tar.gz.sig nor .sigstore.json"* ]]
  stop "${servers[-1]}"
  run -75 --separate-stderr bash -c 'mkdir nobody && cd nobody && sh "$ROOT/download.sh" 1.2.3'
  [[ $stderr == *'hint: run the same command again'* ]]
  for at in ../1.2.3 1/2 '' '1.2.3 x' --no-such '1.2.3 --bundle' '1.2.3 --parts 4X' '1.2.3 --parts 0'; do
    # shellcheck disable=SC2086 # words
    run -2 --separate-stderr sh "$ROOT/download.sh" $at
    explained download.sh
  done
  # Without it, install.sh names its new place.
  mkdir alone
  cp "$ROOT/install.sh" alone
  run -2 --separate-stderr sh alone/install.sh --download 1.2.3
  [[ $stderr == *'run download.sh VERSION'* ]]
}

@test "download.sh: a sigstore bundle serves where there is no .sig" {
  local program at name=airgap-bundle-1.2.3.tar.gz
  need openssl curl wget jq
  mkdir -p served/1.2.3 path
  cp "$MEDIA/bundle.tgz" served/1.2.3/$name
  mkk0s --out served/1.2.3/k0s-v1.32.8+k0s.0-amd64
  mkk0s --arch arm64 --out served/1.2.3/k0s-v1.32.8-k0s.0-arm64
  cp "$MEDIA/cosign.pub" served/
  for at in served/1.2.3/*; do sigstore "$BATS_FILE_TMPDIR/key.pem" "$at"; done
  # It has what cosign writes.
  same "$(jq -c '[paths]' "$ROOT/cmd/bundle-verify/testdata/v3/p256.sigstore.json")" "$(jq -c '[paths]' served/1.2.3/$name.sigstore.json)"
  exec {requests}< <(exec cutoff -after 100000000 served 3>&-)
  servers+=($!)
  read -r at <&"$requests"
  export K0RDENT_DOWNLOAD_URL=http://$at
  for program in sh dirname basename sed tr mv rm mkdir wc sleep head tail sha256sum; do ln -s "$(type -P $program)" path/; done
  for program in curl wget; do
    ln -s "$(type -P $program)" path/
    mkdir $program $program.parts
    (cd $program && PATH=$ROOT/bin:$PWD/../path sh "$ROOT/download.sh" 1.2.3 2>err) || { tail $program/err; false; }
    same "$(printf '%s\n' $name{,.sigstore.json} cosign.pub err k0s-v1.32.8+k0s.0-a{md,rm}64{,.sigstore.json})" "$(cd $program && printf '%s\n' *)"
    [[ $(tail -n 2 $program/err | head -n 1) == *" $name, $name.sigstore.json, ./cosign.pub,"* ]]
    [ "$(bundle-verify --quiet --key $program/cosign.pub --format '{{.signature}}' $program/k0s-v1.32.8+k0s.0-arm64)" = good ]
    (cd $program.parts && PATH=$ROOT/bin:$PWD/../path sh "$ROOT/download.sh" 1.2.3 --parts 100K 2>err) || { tail $program.parts/err; false; }
    [[ $(tail -n 2 $program.parts/err | head -n 1) == *" $name.part-*, $name.sha256, $name.sigstore.json, "* ]]
    [ "$(bundle-verify --quiet --key $program/cosign.pub --format '{{.signature}}' $program.parts/$name.part-001)" = good ]
    rm path/$program
  done
  # install.sh finds it as well, next to the whole and to the parts.
  for at in curl/$name curl.parts/$name.part-001; do
    run -0 --separate-stderr sh "$ROOT/install.sh" --plan --only push --bundle "$at" --key curl/cosign.pub
    [[ $output == *"bundle-verify --quiet --key $PWD/curl/cosign.pub $PWD/$at |"* ]]
  done
  # A signature of another file, and a statement that is none, are refused.
  cp curl/k0s-v1.32.8+k0s.0-amd64.sigstore.json curl/$name.sigstore.json
  run -1 bash -c 'cd curl && sh "$ROOT/download.sh" 1.2.3'
  [[ $output == *"hint: remove it and ./$name.sigstore.json,"* || $output == *"hint: remove it and $name.sigstore.json,"* ]]
  cp "$ROOT/cmd/bundle-verify/testdata/v3/attestation.sigstore.json" curl/$name.sigstore.json
  run -1 bash -c 'cd curl && sh "$ROOT/download.sh" 1.2.3'
  [[ $output == *"$name.sigstore.json: an attestation about the file (DSSE envelope), not a signature of it"* ]]
  # The vendor's server has both for a while: either is good.
  openssl dgst -sha256 -sign "$BATS_FILE_TMPDIR/key.pem" served/1.2.3/$name | base64 -w0 >served/1.2.3/$name.sig
  mkdir both
  (cd both && sh "$ROOT/download.sh" 1.2.3 2>err)
  [ ! -e both/$name.sigstore.json ]
}

# containerd NAME: starts containerd there as a k0s of that version starts it: with
# the drop-ins of /etc/k0s/containerd.d.
containerd() {
  on "$1" tee /tmp/containerd.toml >/dev/null <<'T'
version = 2
root = "/run/containerd/root"
state = "/run/containerd/state"
imports = ["/etc/k0s/containerd.d/*.toml"]
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "/run/containerd/containerd.sock"
T
  on "$1" /media/bin/containerd1.7 --config /tmp/containerd.toml >containerd.log 2>&1 &
  servers+=($!)
}

# pull NAME REFERENCE…: pulls like a kubelet there.
pull() { on "$1" /media/bin/cri-pull unix:///run/containerd/containerd.sock "${@:2}"; }

@test "install.sh: a second host joins with one archive, and its containerd pulls from the first" {
  local digest
  hosts
  need containerd1.7 cri-pull
  cp "$ROOT"/.cache/bin/{containerd1.7,cri-pull} "$MEDIA/bin/"
  mkdir -p "$MEDIA/alone"
  cp "$ROOT/install.sh" "$MEDIA/alone/"
  # There is no API server in which the node could become Ready; the port answers.
  there=(K0S_ROOT=/ K0S_LOG=/root/k0s.log K0S_SERVER=10.0.0.5:5000 K0S_UP_TIMEOUT=2s "K0S_UP_IGNORE=memory,network,ports,sysinfo,system")
  host first
  host second
  wire first 10.0.0.5/24 second 10.0.0.6/24
  installed first
  script first --only serve 2>err
  run -1 --separate-stderr script first --export-worker /root/worker.tar.gz
  [[ $stderr == *'k0s is not running on this host'* ]]
  on first k0s install controller --enable-worker --no-taints
  on first k0s start
  run -0 script first --export-worker worker.tar.gz --plan
  [ "$(on first find / -xdev -name 'worker.tar.gz')" = '' ]
  # The guide has a line for each of the two.
  home first
  guide Workers 1 >lines
  [ "$(wc -l <lines)" = 2 ]
  on first sh -euc "$(sed -n 1p lines)" 2>err
  [ "$(on first stat -c %a /root/worker.tar.gz)" = 600 ]
  [ "$(on first find /tmp /var/lib/k0rdentd -name '*token*')" = '' ]

  # The worker has only install.sh and the archive.
  on first cat /root/worker.tar.gz | on second sh -c 'umask 077; cat >/root/worker.tar.gz'
  looks second >before
  DIGEST=sha256:$(on second sha256sum /root/worker.tar.gz | cut -d' ' -f1)
  [ "$(sed -n 's/^install.sh:   install.sh --worker worker.tar.gz --digest //p' err)" = "$DIGEST" ]
  run -0 on second sh /media/alone/install.sh --worker /root/worker.tar.gz --digest "$DIGEST" --plan
  [[ $output == *'"path":"/etc/k0s/containerd.d/cri-registry.toml"'*'"name":"k0s-install","status":"planned"'* ]]
  same "$(cat before)" "$(looks second)"
  on second ln -s /media/alone/install.sh /root/
  there+=("DIGEST=$DIGEST")
  for again in once twice; do
    run -1 --separate-stderr on second sh -euc "$(sed -n 2p lines)"
    [[ $stderr == *'[1/1] worker'*'k0s-joined failed'* ]] || { echo "$stderr"; false; }
    looks second >$again
  done
  on second rm /root/install.sh
  same "$(cat once)" "$(cat twice)"
  same "$(printf '%s\n' k0rdent-airgap-install k0s k0s-extract k0s-mirror-config k0s-up)" "$(on second ls /usr/local/bin)"
  on second sh -c 'cd /usr/local && cmp bin/k0rdent-airgap-install /media/release/install.sh && diff lib/k0rdent-airgap /media/release/install'
  [ "$(records second 'select(.name == "k0s-start").status' | xargs)" = 'done unchanged' ]
  [ "$(records second 'select(.by).name + " " + .status' | sort -u)" = 'worker failed' ]
  # The token stays only where k0s reads it, until the host has joined.
  [ "$(on second sh -c 'find /etc /tmp /run -name "*token*"')" = /etc/k0s/join-token ]
  [ "$(on second stat -c '%a %U' /etc/k0s/join-token)" = '600 root' ]

  # With only those files, everything comes from the first host, over TLS.
  containerd second
  digest=$(expected "$MEDIA/manifest.json" | sed -n 's/^k0sproject\/pause 3.9 //p')
  run -0 pull second quay.io/k0sproject/pause:3.9 nobody.example/jetstack/cert-manager-controller:v1.19.1 "10.0.0.5:5000/k0rdent-enterprise/velero/velero:v1.17.0"
  [ "$(wc -l <<<"$output")" = 3 ]
  run -0 pull second "quay.io/k0sproject/pause@$digest"
  run -1 pull second quay.io/k0sproject/pause:absent
  [[ $output == *'quay.io/k0sproject/pause:absent: not found' ]] # rather than that quay.io is unreachable
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other -keyout other.key -out other.pem -days 2 2>/dev/null
  on second sh -c 'cd /etc/k0s/certs.d/quay.io && cp -p ca.crt /root/ && cat >ca.crt' <other.pem
  run -1 pull second quay.io/k0sproject/coredns:1.12.2
  [[ $output == *'certificate signed by unknown authority'* ]]
  on second sh -c 'mv -f /root/ca.crt /etc/k0s/certs.d/quay.io/'
  run -0 pull second quay.io/k0sproject/coredns:1.12.2
  stop "${servers[-1]}"

  # What came with it is removed, with what came with it.
  on second k0rdent-airgap-install --uninstall --purge --yes 2>err
  same "$(cat before)" "$(looks second)"
  on second rm /root/worker.tar.gz
}

# packed NAME: a worker archive there, in /root/worker.tar.gz; sets DIGEST to the
# printed digest.
packed() {
  on "$1" k0s install controller --enable-worker --no-taints
  on "$1" k0s start
  script "$1" --export-worker /root/worker.tar.gz 2>err
  DIGEST=$(sed -n 's/^install.sh:   install.sh --worker worker.tar.gz --digest //p' err)
}

@test "install.sh: a worker archive runs only if it has the digest that was printed" {
  local evil other
  running one 10.0.0.5
  packed one
  [ "$DIGEST" = "sha256:$(on one sha256sum /root/worker.tar.gz | cut -d' ' -f1)" ]
  # Each archive below would leave a mark if anything in it ran.
  on one sh -eu <<'END'
    mkdir /root/a && cd /root/a && tar xzf ../worker.tar.gz
    for file in k0s* install.sh install/*; do echo "touch /root/owned" >$file; done # a quick one
    repack() { tar czf "../$1" *; }
    { sed 1q join.sh; echo 'touch /root/owned'; sed 1d join.sh; } >x && mv x join.sh
    repack changed.tar.gz
    mkdir x && cp join.sh x && mv join.sh y && tar czf ../deep.tar.gz x && rm -r x && mv y join.sh
    sed 's/^role=worker$/role=controller/' join.sh >x && mv x join.sh && repack other.tar.gz
    rm join.sh && tar czf ../none.tar.gz *
    head -c -100 ../worker.tar.gz >../cut.tar.gz
    cd .. && rm -r a
END
  looks one >before
  unmarked() {
    [ "$(on one sh -c 'ls /root/owned 2>/dev/null')" = '' ]
    same "$(cat before)" "$(looks one)"
  }
  # With the digest of the original, every changed archive is refused.
  for evil in changed cut; do
    for other in '' --plan; do
      run -1 --separate-stderr script one --worker /root/$evil.tar.gz --digest "$DIGEST" $other
      [[ $stderr == *"/root/$evil.tar.gz has the digest sha256:"*", not $DIGEST"*'hint: copy it again'* ]]
      unmarked
    done
  done
  # Without a digest, and without a terminal to ask on, all are refused.
  for other in '' --plan; do
    run -2 --separate-stderr script one --worker /root/worker.tar.gz $other </dev/null
    [[ $stderr == *'the digest of /root/worker.tar.gz is needed'*'hint: run the command that install.sh --export-worker printed'* ]]
    unmarked
  done
  # On a terminal it asks.
  run -1 on one sh -c "echo '$DIGEST' | script -qec 'sh /media/release/install.sh --worker /root/changed.tar.gz' /dev/null"
  [[ $output == *'the digest that --export-worker printed for /root/changed.tar.gz: '*", not $DIGEST"* ]]
  unmarked
  # A foreign archive is refused, even with its own digest.
  for evil in none other deep; do
    run -1 --separate-stderr script one --worker /root/$evil.tar.gz --digest "$(on one sha256sum /root/$evil.tar.gz | cut -d' ' -f1)"
    [[ $stderr == *"/root/$evil.tar.gz is not for a worker"* ]]
    unmarked
  done
  run -1 --separate-stderr script one --worker /root --digest "$DIGEST"
  [[ $stderr == *'/root is not a file that can be read'* ]]
  for other in sha256:12 "$DIGEST"0 sha512:"${DIGEST#sha256:}"; do
    run -2 --separate-stderr script one --worker /root/worker.tar.gz --digest "$other"
    [[ $stderr == *'must be sha256: and 64 hexadecimal digits'* ]]
  done
  run -2 --separate-stderr script one "${whole[@]}" --digest "$DIGEST"
  [[ $stderr == *'--digest requires --worker'* ]]
  # Both spellings are accepted.
  for other in "$DIGEST" "$(tr a-f A-F <<<"${DIGEST#sha256:}")"; do
    run -1 --separate-stderr script one --worker /root/worker.tar.gz --digest "$other" --plan
    [[ $stderr == *'this host is set up as a controller'* ]] # join.sh has begun
  done
  unmarked
}

@test "install.sh: a tag that moves after the push is not installed by root" {
  local tag near=127.0.0.1:5000/k0rdent-enterprise
  running one 10.0.0.5
  tag=$(expected "$MEDIA/manifest.json" | sed -n 's/^k0sproject\/k0s \([^ ]*\) .*/\1/p')
  # k0s is removed from disk, so that it has to be installed again.
  on one rm /usr/local/bin/k0s
  move() { on one oci-push --quiet --ca $storage/tls/ca.pem --to $near --alias "$1" >moved; }
  move "k0sproject/pause:3.9=k0sproject/k0s:$tag"
  run -1 --separate-stderr script one --from k0s -- --plan
  [[ $stderr == *"/k0sproject/k0s:$tag@sha256:"*'the tag has moved: the registry has sha256:'*', not sha256:'* ]]
  run -1 on one test -e /usr/local/bin/k0s
  script one "${whole[@]}" --only push 2>err
  script one --from k0s -- --plan 2>err
  # The platform's chart, and one that the platform will request.
  for tag in charts/k0rdent-enterprise:1.2.3 charts/kcm-templates:1.2.3; do
    move "k0sproject/pause:3.9=$tag"
    run -1 --separate-stderr script one --only install -- --plan
    [[ $stderr == *"$tag: the tag has moved: the registry has sha256:"*', but sha256:'*' was pushed'* ]]
    script one "${whole[@]}" --only push 2>err
    script one --only install -- --plan 2>err
  done
}

@test "install.sh: without the digests of the push, nothing is installed" {
  local pushed=/var/lib/k0rdentd/install/pushed
  running one 10.0.0.5
  on one cp $pushed /root/pushed
  for change in 's/"digest":/"Digest":/' '/velero/s/"digest":/"Digest":/' 's/"kind":"image"/"kind": "image"/' d; do
    on one sh -c 'sed "$1" /root/pushed >"$2"' sh "$change" $pushed
    run -1 --separate-stderr script one --only install -- --plan
    [[ $stderr == *"install.sh: "*'digest of every image'* || $stderr == *'nothing has been pushed yet'* ]]
    run -1 --separate-stderr script one --from install -- --plan
    [[ $stderr == *'resume with the same command and --from push'* ]]
  done
  script one "${whole[@]}" --from push -- --plan 2>err
}

@test "install.sh: a bundle in parts, by the first one or a pattern, on one medium or two" {
  local at
  mkdir -p "$MEDIA/parts" "$MEDIA/one" "$MEDIA/two"
  split -b 60000 "$MEDIA/bundle.tgz" "$MEDIA/parts/bundle.tgz.part-"
  cp "$MEDIA/bundle.tgz.sig" "$MEDIA/parts"
  (cd "$MEDIA/parts" && sha256sum bundle.tgz.part-?? >bundle.tgz.sha256)
  cp "$MEDIA"/parts/* "$MEDIA/one"
  mv "$MEDIA/one/bundle.tgz.part-ab" "$MEDIA/two"
  site one 10.0.0.5
  run -0 --separate-stderr script one "${whole[@]}" --plan
  needs=$(grep ' needs ' <<<"$output")
  for at in /media/parts/bundle.tgz.part-aa '/media/parts/bundle.tgz*' '/media/[ot]*/bundle.tgz.part-??'; do
    run -0 --separate-stderr script one --bundle "$at" --key /media/cosign.pub --plan
    [[ $output == *$'\n# release 1.2.3, not verified yet\n'* && $stderr == '' ]]
    # All parts count. Each is rounded to KiB.
    [ "$(grep ' needs ' <<<"$output" | sed 's/ MB.*//')" = "${needs%% MB*}" ]
  done
  script one --bundle '/media/[ot]*/bundle.tgz.part-??' --key /media/cosign.pub -- --plan >out 2>err
  filled one
  # What is missing is named before anything is done, and by the first part as well.
  rm "$MEDIA/two/bundle.tgz.part-ab"
  run -1 --separate-stderr script one --bundle /media/one/bundle.tgz.part-aa --key /media/cosign.pub --plan
  [[ $stderr == *'/media/one/bundle.tgz.part-ab: missing, but /media/one/bundle.tgz.sha256 lists it'* ]]
}

@test "install.sh: one run at a time" {
  site one 10.0.0.5
  script one "${whole[@]}" --only check 2>err
  run -75 --separate-stderr on one flock /var/lib/k0rdentd/install sh /media/release/install.sh "${whole[@]}" --only serve
  [[ $stderr == 'install.sh: another install.sh is at work on this host'$'\n''hint: '* ]]
  # What a run leaves behind does not count.
  script one "${whole[@]}" --only serve 2>err
  serving one
  script one "${whole[@]}" --only serve 2>err
}

@test "install.sh: a directory with other files is not used as the registry's storage" {
  site one 10.0.0.5
  on one sh -c 'mkdir /srv/shared; echo precious >/srv/shared/file; ln -s shared /srv/link'
  for dir in /srv/shared /srv/link; do
    run -1 --separate-stderr on one env K0RDENTD_REGISTRY_STORAGE=$dir sh /media/release/install.sh "${whole[@]}" --only serve
    [[ $stderr == *"$dir contains other files"* ]]
  done
  same file "$(on one ls /srv/shared)"
}

@test "install.sh: no other user of the host can change what root installs" {
  site one 10.0.0.5
  on one sh -c 'umask 000; exec sh /media/release/install.sh "$@"' sh "${whole[@]}" -- --plan 2>err
  same '' "$(on one find /etc /opt /usr /var /run/k0rdent-airgap -newer /media/release/install.sh -perm /022 ! -type l -print)"
  nobody() { on one setpriv --reuid=nobody --clear-groups "$@"; }
  for near in 127.0.0.1 10.0.0.5; do
    run -1 --separate-stderr nobody oci-push --ca $storage/tls/ca.pem --to $near:5000/another /media/bundle.tgz
    [[ $stderr == *'only root may push'* ]]
  done
  # Nor its notes: only what root alone can change counts.
  for state in /var/lib/k0rdentd /var/lib/k0rdentd/install; do
    on one chown nobody $state
    run -1 --separate-stderr script one --only check "${whole[@]}"
    [[ $stderr == *"$state is not a directory that only root can change"* ]]
    on one chown root $state
    on one chmod o+w $state
    run -1 --separate-stderr script one --only check "${whole[@]}"
    on one chmod o-w $state
  done
  script one --only check "${whole[@]}" 2>err
  # A log behind another user's link.
  on one sh -c 'mkdir -m 1777 /root/open; touch /root/victim; chmod 711 /root'
  nobody ln -s /root/victim /root/open/log
  run -1 --separate-stderr script one --only check "${whole[@]}" --log /root/open/log
  [[ $stderr == *'/root/open/log is a symbolic link of another user'* ]]
  nobody ln -s /root/victim /root/open/oci-serve.log
  run -1 --separate-stderr script one --only serve --log /root/open/mine
  [[ $stderr == *'/root/open/oci-serve.log is a symbolic link of another user'* ]]
  nobody ln -s /root /root/open/dir
  run -1 --separate-stderr script one --only check "${whole[@]}" --log /root/open/dir/log
  [[ $stderr == *'/root/open/dir is a symbolic link of another user'* ]]
  [ "$(on one cat /root/victim)" = '' ]
}

@test "install.sh: a rejected bundle leaves no trace of its release" {
  site one 10.0.0.5
  on one sh -c 'cp /media/bundle.tgz* /root/; echo >>/root/bundle.tgz'
  run -1 --separate-stderr script one --bundle /root/bundle.tgz --key /media/cosign.pub
  [[ $stderr == *'release 1.2.3, not verified yet'* ]]
  [ "$(on one sh -c 'grep -rl 1.2.3 /var/lib/k0rdentd/install /var/lib/k0rdentd/install.json 2>/dev/null')" = '' ]
}

@test "install.sh: every command in the guide is valid" {
  local tool rest flag count=0
  sed -nE 's/^\.Ql ((bundle|oci|k0s|k0rdent)-[a-z-]+|install\.sh|download\.sh) (.*)/\1 \3/p' "$GUIDE" >commands
  while read -r tool rest; do
    while read -r flag; do
      PATH=$ROOT:$PATH "$tool" --help | grep -qE -- "^  $flag( |\$)" || { echo "$tool has no $flag"; false; }
      count=$((count + 1))
    done < <(grep -oE -- '--[a-z0-9-]+' <<<"$rest")
  done <commands
  [ $count -ge 15 ]
}

@test "install.sh: every example of the guide is tested, here or under systemd" {
  same "$(guided)" "$(cat <<'END'
2 A SITE WITH ONE HOST
1 Workers
1 Controllers
1 A registry that outlives a host
2 A second registry
1 A NEW RELEASE
END
)"
  local section
  for section in 'A SITE WITH ONE HOST' Workers Controllers 'A registry that outlives a host' 'A second registry' 'A NEW RELEASE'; do
    grep -qF -e "'$section' " -e " $section 1 " "$ROOT"/tests/{install,controllers}.bats "$ROOT"/tests/nspawn/{install,sync}.sh
  done
}
