#!/usr/bin/env bats
# Other programs read what the tools wrote, and the other way round.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run

load lib/helper

@test "peer: skopeo copies every image out of oci-serve, digests equal" {
  local repository tag digest
  need skopeo
  serve
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  expected | while read -r repository tag digest; do
    rm -rf out
    skopeo --insecure-policy copy -q --all --src-tls-verify=false "docker://$registry/$repository:$tag" dir:out
    [ "sha256:$(sha256sum <out/manifest.json | cut -d' ' -f1)" = "$digest" ]
  done
}

@test "peer: skopeo pushes an index and a chart, oci-push finds them" {
  local repository
  need skopeo
  serve
  for repository in busybox_1.37.0 charts/k0rdent-enterprise_1.2.3; do
    skopeo --insecure-policy copy -q --all --dest-tls-verify=false \
      "oci-archive:$SAMPLE/bundle/$repository.tar" "docker://$registry/${repository%_*}:${repository#*_}"
  done
  same "$(expected | grep -e '^busybox ' -e '^charts/k0rdent-enterprise ')" "$(published)"
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >out
  [ "$(jq -r 'select(.status == "exists") | .repository' out | sort | xargs)" = 'busybox charts/k0rdent-enterprise' ]
}

@test "peer: skopeo copies a bundle's files out of oci-serve, curl resumes them" {
  local name sum half files
  need skopeo
  mkbundle --bundle bare-metal --size 8MiB --out bm.tgz --manifest bm.json
  serve --files-http 127.0.0.1:0 --format '{{.files}} {{.address}}'
  files=${served% *}
  oci-push --to "$registry" --quiet bm.tgz >pushed
  [ "$(jq -r 'select(.kind == "file") | .status' pushed | sort | uniq -c | xargs)" = '4 pushed' ]
  jq -r '.entries[] | select(.kind == "file") | "\(.name) \(.digest)"' bm.json | while read -r name sum; do
    rm -rf out got
    skopeo --insecure-policy copy -q --src-tls-verify=false "docker://$registry/files/${name%/*}:${name##*/}" dir:out
    [ "sha256:$(sha256sum <"out/${sum#sha256:}" | cut -d' ' -f1)" = "$sum" ]
    half=$(($(stat -c %s "out/${sum#sha256:}") / 2))
    head -c $half "out/${sum#sha256:}" >got
    curl -sSf -C - -o got -w '%{http_code}' "$files/$name" | grep -qx 206
    cmp got "out/${sum#sha256:}"
    mkdir -p "www/${name%/*}"
    curl -sSf -o "www/$name" "$files/$name"
  done
  curl -sSf "$files/sha256sums.txt" >sums
  (cd www && sha256sum --quiet -c ../sums)
}

@test "peer: skopeo reads a repository's directory without the server" {
  local tag digest
  need skopeo
  serve
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  stop "$server"
  expected | grep '^k0sproject/' | while read -r repository tag digest; do
    skopeo inspect --raw "oci:storage/repositories/$repository/_layout:$tag" | sha256sum | grep -q "^${digest#sha256:} "
  done
}

@test "peer: crane pushes, copies, lists and validates" {
  local index
  need crane
  serve
  index=$(expected | awk '$1 == "k0sproject/k0s" { print $3 }')
  mkdir layout
  tar -xf "$SAMPLE/bundle/k0sproject/k0s_v1.32.8-k0s.0.tar" -C layout
  crane push --index layout "$registry/mine/k0s:v1"
  crane copy "$registry/mine/k0s@$index" "$registry/other/k0s:v2"
  [ "$(crane digest "$registry/other/k0s:v2")" = "$index" ]
  crane validate --remote "$registry/other/k0s:v2"
  [ "$(crane catalog "$registry" | sort | xargs)" = 'mine/k0s other/k0s' ]
  [ "$(crane ls "$registry/other/k0s")" = v2 ]
  audit storage >/dev/null
}

@test "peer: Helm pulls the chart and finds its subcharts" {
  need helm-pull
  serve
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  HOME=$PWD run -0 helm-pull "$registry/charts/k0rdent-enterprise:1.2.3"
  [[ ${lines[-1]} == "$(expected | awk '$1 == "charts/k0rdent-enterprise" { print $3 }') k0rdent-enterprise 1.2.3 "* ]]
  [[ " ${lines[-1]} " == *' regional '* || " ${lines[-1]} " == *' kcm-regional '* ]]
}

# distribution: starts that registry, and sets registry to its address.
distribution() {
  local log line
  need docker-registry
  cat >registry.yml <<'Y'
version: 0.1
storage: {filesystem: {rootdirectory: ./distribution}}
http: {addr: 127.0.0.1:0}
Y
  # Only its log has its port.
  exec {log}< <(exec docker-registry serve registry.yml 2>&1 3>&-)
  servers+=($!)
  until [[ ${line-} == *'listening on '* ]]; do IFS= read -r -t 60 line <&"$log"; done
  registry=localhost:$(grep -oE 'listening on 127.0.0.1:[0-9]+' <<<"$line" | grep -oE '[0-9]+$')
  cat <&"$log" >registry.log 3>&- &
}

@test "peer: oci-push pushes to another registry, under a prefix, and the second run skips everything" {
  local repository tag digest
  distribution
  oci-push --to "$registry/k0rdent-enterprise" --quiet "$SAMPLE/bundle.tgz" >out
  same "$(expected | sed 's,^,k0rdent-enterprise/,')" "$(unlisted)"
  oci-push --to "$registry/k0rdent-enterprise" --quiet "$SAMPLE/bundle.tgz" >out
  [ "$(jq -r 'select(.kind == "image") | .status' out | sort -u)" = exists ]
}

@test "peer: the files of a bundle go from another registry to an oci-serve that serves only them" {
  local external
  mkbundle --bundle bare-metal --out bm.tgz
  distribution
  external=$registry
  oci-push --to "$external/site" --quiet bm.tgz >/dev/null
  oci-push --to "$external/site" --files "$PWD/written" --quiet bm.tgz >/dev/null
  serve --files-http 127.0.0.1:0 --format '{{.files}} {{.address}}'
  oci-push --from "$external/site/files" --to "$registry/files" --quiet >/dev/null
  curl -sSf "${served% *}/files/sha256sums.txt" >sums
  [ "$(wc -l <sums)" = 4 ]
  (cd written && sha256sum --quiet -c ../sums)
  # What is written can be served as it is.
  stop "$server"
  serve --files written --files-http 127.0.0.1:0 --format '{{.files}} {{.address}}'
  curl -sSf "${served% *}/sha256sums.txt" | cmp - sums
}
