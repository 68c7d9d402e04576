#!/usr/bin/env bats
# The tools in pipes, with each other and with other programs in between.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run

load lib/helper

@test "pipe: bundle-ls | oci-push pushes every image unchanged" {
  serve
  bundle-ls "$SAMPLE/bundle.tgz" | oci-push --to "$registry" --quiet >pushed
  same "$(expected)" "$(published)"
  [ "$(jq -r 'select(.kind == "image") | .status' pushed | sort -u)" = pushed ]
  [ "$(tail -n 1 pushed | jq -r .kind)" = summary ]
}

@test "pipe: a second run sends nothing and changes nothing" {
  serve
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  # The registry derives each index.json a moment after the push.
  for _ in {1..200}; do
    find storage -type f -printf '%P %T@ %i\n' | sort >before
    sleep 1
    ! find storage -type f -printf '%P %T@ %i\n' | sort | cmp -s before - || break
  done
  bundle-ls "$SAMPLE/bundle.tgz" | oci-push --to "$registry" --quiet >again
  find storage -type f -printf '%P %T@ %i\n' | sort >after
  diff before after
  [ "$(jq -r 'select(.kind == "image") | "\(.status) \(.pushedBytes // 0)"' again | sort -u)" = 'exists 0' ]
}

@test "pipe: the bundle's format makes no difference" {
  local form
  bundle-ls "$SAMPLE/bundle.tgz" | jq -c 'del(.bundle, .seconds, .bytes)' | sort >tgz
  for form in bundle.tar bundle.tzst bundle; do
    bundle-ls "$SAMPLE/$form" | jq -c 'del(.bundle, .seconds, .bytes)' | sort | diff tgz -
  done
}

@test "pipe: bundle-ls lists what the generator wrote" {
  same "$(expected)" "$(bundle-ls --format '{{.repository}} {{.tag}} {{.digest}}' "$SAMPLE/bundle.tgz" | sort)"
}

@test "pipe: grep between the tools narrows what is pushed" {
  serve
  bundle-ls "$SAMPLE/bundle.tgz" | grep '"type":"chart"' | oci-push --to "$registry" --quiet >/dev/null
  same "$(expected | grep ^charts/)" "$(published)"
}

@test "pipe: jq between the tools may rewrite the lines" {
  serve
  bundle-ls "$SAMPLE/bundle.tgz" | jq -c 'select(.repository == "busybox")' | oci-push --to "$registry" --quiet >/dev/null
  same "$(expected | grep '^busybox ')" "$(published)"
}

@test "pipe: the prefix of a push reaches the last tools of the pipe" {
  serve
  { echo "{\"kind\":\"registry\",\"url\":\"http://$registry\"}"; bundle-ls "$SAMPLE/bundle.tgz"; } |
    oci-push --to "$registry/site/k0rdent" --quiet | k0s-mirror-config --root root --k0s-version v1.32.8+k0s.0 >out
  [ "$(jq -r 'select(.kind == "image") | "\(.registry) \(.prefix)"' out | sort -u)" = "$registry site/k0rdent" ]
  grep -q "http://$registry/v2/site/k0rdent" root/etc/k0s/certs.d/quay.io/hosts.toml
}

@test "pipe: images arrive while bundle-ls still reads, whatever precedes them in the bundle" {
  local rest
  serve
  mkfifo input
  bundle-ls --quiet "$SAMPLE/bundle.tgz" | grep -v '"kind":"summary"' >list
  [ "$(head -n 1 list | jq -r .kind)" = skipped ]
  oci-push --to "$registry" --quiet <input >pushed 3>&- &
  exec {rest}>input
  cat list >&"$rest" # and stdin stays open
  for _ in {1..200}; do
    [ "$(published)" != "$(expected)" ] || break
    sleep 0.1
  done
  same "$(expected)" "$(published)"
  exec {rest}>&-
  wait $!
}

# plain FILE: records as sorted lines, without what differs from run to run.
plain() {
  jq -c 'del(.seconds, .bytes, .pushedBytes, .existingBytes)' "$1" | grep -v '"tool":"bundle-ls"' | sed "s/$registry/REGISTRY/g" | sort
}

@test "pipe: with another program in between, registry, records and exit codes are the same" {
  local defect way
  for defect in none wrong-layer-digest missing-layer path-dotdot same-reference truncated-mid-entry; do
    cp "$SAMPLE/bundle.tgz" b.tgz
    [ "$defect" = none ] || mkbundle --out b.tgz --defect "$defect"
    for way in direct between; do
      rm -rf storage
      serve
      if [ $way = direct ]; then
        bundle-ls b.tgz 2>/dev/null | oci-push --to "$registry" --quiet >out 2>err && status=0 || status=$?
      else
        bundle-ls b.tgz 2>/dev/null | tee list | oci-push --to "$registry" --quiet >out 2>err && status=0 || status=$?
      fi
      { plain out; published; echo "$((status > 0))"; } >$way
      stop "$server"
    done
    echo "$defect"
    diff direct between
    [ "$(tail -n 1 direct)" = "$([ $defect = none ] && echo 0 || echo 1)" ]
    run ! grep -h '"kind":"rest"' list direct between
  done
}

# once: bundle-ls before an oci-push that is already waiting for records.
once() {
  local to
  mkfifo records
  oci-push --to "$registry" --quiet <records >pushed 3>&- &
  exec {to}>records
  asleep $!
  "$@" bundle-ls "$SAMPLE/bundle.tgz" >&"$to"
  exec {to}>&-
  wait $!
}

@test "pipe: bundle-ls leaves the bundle to the oci-push that reads its records" {
  serve
  once env
  same "$(expected)" "$(published)"
  run -0 jq -c 'select(.tool == "bundle-ls") | .counts' pushed
  [ "$output" = null ] # it has listed nothing
  [ "$(jq -c 'select(.tool == "oci-push") | .counts' pushed)" = '{"pushed":63,"skipped":2}' ]
}

@test "pipe: bundle-ls leaves the bundle to an oci-push of another user" {
  need setpriv
  [ "$(id -u)" = 0 ] || skip 'only root runs programs as another user'
  serve
  once setpriv --reuid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search
  same "$(expected)" "$(published)"
  [ "$(jq -c 'select(.tool == "bundle-ls") | .counts' pushed)" = null ]
}

@test "pipe: the verdict still applies to a bundle that is left to oci-push" {
  local sum
  serve
  sum=$(sha256sum <"$SAMPLE/bundle.tgz")
  record() { echo "{\"kind\":\"bundle\",\"path\":\"$SAMPLE/bundle.tgz\",\"digest\":\"sha256:$1\",\"signature\":\"good\"}"; }
  record "$(tr 0-9 1-90 <<<"${sum%% *}")" >wrong
  run -1 --separate-stderr bash -c "bundle-ls <wrong | oci-push --to $registry --quiet"
  [[ $stderr == *'not the bundle that was verified'* ]]
  [ -z "$(published)" ]
}

@test "pipe: shuffled records give the same registry" {
  serve
  bundle-ls "$SAMPLE/bundle.tgz" | sort -R | oci-push --to "$registry" --quiet >/dev/null
  same "$(expected)" "$(published)"
}

@test "pipe: head -1 between the tools pushes one image" {
  serve
  bundle-ls "$SAMPLE/bundle.tgz" | grep '"kind":"image"' | head -1 >one || true # grep may die of SIGPIPE
  oci-push --to "$registry" --quiet <one >/dev/null
  [ "$(published | wc -l)" = 1 ]
}

@test "pipe: a pipe without an image is reported, and is not success" {
  serve
  run -1 --separate-stderr oci-push --to "$registry" </dev/null
  explained oci-push
  bundle-ls "$SAMPLE/bundle.tgz" >all
  run -1 --separate-stderr bash -c "grep no-such-image all | oci-push --to $registry"
  explained oci-push
}

@test "pipe: the bundle itself on stdin" {
  local tool
  for tool in bundle-version bundle-ls; do
    "$tool" "$SAMPLE/bundle.tgz" | jq -c 'del(.bundle, .seconds)' >named
    # shellcheck disable=SC2002 # a pipe and not a file is the point
    cat "$SAMPLE/bundle.tgz" | "$tool" - | jq -c 'del(.bundle, .seconds)' | diff named -
  done
  serve
  # shellcheck disable=SC2002
  cat "$SAMPLE/bundle.tgz" | oci-push --to "$registry" --quiet - >/dev/null
  same "$(expected)" "$(published)"
}

@test "pipe: a bundle record names the bundle, and every record is passed on" {
  serve
  {
    echo "{\"kind\":\"bundle\",\"path\":\"$SAMPLE/bundle.tgz\",\"signature\":\"good\"}"
    echo '{"kind":"note","text":"<from & next year>",  "n": 1.50}'
  } >given
  bundle-version <given | bundle-ls | oci-push --to "$registry" --quiet >out
  same "$(expected)" "$(published)"
  grep -Fxf given out | diff given -
  [ "$(jq -r .kind out | sort | uniq -c | awk '{print $2, $1}' | grep -v -e image -e skipped | xargs)" = 'bundle 1 note 1 summary 2 version 1' ]
}

@test "pipe: a bad signature stops every tool" {
  local tool
  serve
  echo "{\"kind\":\"bundle\",\"path\":\"$SAMPLE/bundle.tgz\",\"signature\":\"bad\"}" >bad
  for tool in bundle-version bundle-ls "oci-push --to $registry"; do
    # shellcheck disable=SC2086 # a command and its flags
    run -1 --separate-stderr $tool <bad
    explained "${tool%% *}"
  done
  [ -z "$(published)" ]
}

@test "pipe: --format table and templates are for people" {
  run -0 --separate-stderr bundle-version --format '{{.version}}' "$SAMPLE/bundle.tgz"
  [ "$output" = 1.2.3 ]
  run -0 --separate-stderr bundle-version --format table "$SAMPLE/bundle.tgz"
  [ "$output" = 'k0rdent-enterprise 1.2.3' ]
  run -0 --separate-stderr bundle-ls --format table "$SAMPLE/bundle.tgz"
  [[ ${lines[0]} == REFERENCE*TYPE*SIZE* ]]
  grep -Eq '^charts/k0rdent-enterprise:1.2.3 +chart ' <<<"$output"
  serve
  run -0 --separate-stderr oci-push --to "$registry" --format '{{.status}} {{.reference}}' "$SAMPLE/bundle.tgz"
  grep -qx "pushed $registry/charts/k0rdent-enterprise:1.2.3" <<<"$output"
  run -2 --separate-stderr bundle-ls --format '{{.nosuchfield}}' "$SAMPLE/bundle.tgz"
  explained bundle-ls
}

@test "pipe: oci-push reports its progress line by line, and not with --quiet" {
  serve
  bundle-ls "$SAMPLE/bundle.tgz" >records
  run -0 --separate-stderr oci-push --to "$registry" <records
  [ "$(wc -l <<<"$stderr")" = "$(expected | wc -l)" ]
  grep -Eq "^\[[0-9]+/63\] charts/k0rdent-enterprise:1.2.3 pushed [0-9.]+ kB" <<<"$stderr"
  run -0 --separate-stderr oci-push --to "$registry" --quiet <records
  [ -z "$stderr" ]
}
@test "pipe: what is published must have the digest of the bundle record" {
  serve
  local sum
  sum=$(sha256sum <"$SAMPLE/bundle.tgz")
  record() { echo "{\"kind\":\"bundle\",\"path\":\"$SAMPLE/bundle.tgz\",\"digest\":\"sha256:$1\",\"signature\":\"good\"}"; }
  { record "$(tr 0-9 1-90 <<<"${sum%% *}")"; bundle-ls --quiet "$SAMPLE/bundle.tgz"; } >wrong
  run -1 --separate-stderr oci-push --to "$registry" --quiet <wrong
  echo "$stderr"
  [[ $stderr == *sha256:* ]]
  [ -z "$(published)" ]
  record "${sum%% *}" | bundle-ls | oci-push --to "$registry" --quiet >/dev/null
  same "$(expected)" "$(published)"
}


@test "pipe: a registry is listed, and a selection is copied to another one" {
  local from
  need jq
  serve
  from=$registry
  oci-push --to "$from" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  bundle-ls --registry "$from" --quiet >listed
  same "$(expected)" "$(jq -r 'select(.kind == "image") | "\(.repository) \(.tag) \(.digest)"' listed | sort)"
  # Size, blobs and platforms are the bundle's.
  bundle-ls --quiet "$SAMPLE/bundle.tgz" >bundled
  fields='select(.kind == "image") | {repository, tag, digest, mediaType, type, size, blobs, platforms, chart}'
  same "$(jq -cS "$fields" bundled | sort)" "$(jq -cS "$fields" listed | sort)"
  [ -z "$(jq -c 'select(.kind == "image" and .pushedAt == null)' listed)" ]
  serve --storage other
  bundle-ls --registry "$from" | oci-push --from "$from" --to "$registry" --quiet - >out
  same "$(expected)" "$(published)"
  serve --storage charts
  bundle-ls --registry "$from" | grep '"type":"chart"' | oci-push --from "$from" --to "$registry" --quiet - >out
  same "$(expected | grep '^charts/')" "$(published)"
  # Every byte of a storage is counted once.
  bundle-ls --registry "$from" --du --quiet >space
  [ "$(jq 'select(.kind == "summary").bytes' space)" = "$(jq -s 'map(select(.kind == "repository") | .size - (.sharedBytes // 0)) | add' space)" ]
  [ "$(jq 'select(.kind == "summary").bytes' space)" = "$(curl -s "http://$from/metrics" | awk '$1 == "oci_serve_storage_bytes" { printf "%d", $2 }')" ]
}

@test "pipe: --alias needs no bundle, neither on a terminal nor in a script" {
  need script
  serve
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  run -0 script -qec "oci-push --to $registry --alias k0sproject/pause=also/pause" /dev/null
  run -0 oci-push --to "$registry" --alias k0sproject/pause:3.9=also/pause:latest --format '{{.status}} {{.repository}}:{{.tag}}' </dev/null
  [[ $output == *'pushed also/pause:latest'* ]]
  same "$({ expected; expected | sed -n 's,^k0sproject/pause 3.9 \(.*\),also/pause 3.9 \1\nalso/pause latest \1,p'; } | sort)" "$(published)"
  # The failure of the program before it is still visible.
  run -1 bash -c "set -o pipefail; bundle-ls /no/such/bundle | oci-push --to $registry --alias k0sproject/pause=also/pause"
}
