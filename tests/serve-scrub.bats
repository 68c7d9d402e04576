#!/usr/bin/env bats
# A flipped byte on disk: found, set aside, pushed again.
# shellcheck disable=SC2154 # registry and server are set by serve, output and stderr by run

load lib/helper

# flip FILE: flips a bit in its middle.
flip() {
  local at=$(($(stat -c %s "$1") / 2)) byte
  byte=$(od -An -tu1 -j $at -N1 "$1")
  # shellcheck disable=SC2059 # the format is the byte
  printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek=$at conv=notrunc status=none
}

# blobs: the files of the pool, the largest first.
blobs() { find storage/blobs -type f -printf '%s %p\n' | sort -rn | cut -d' ' -f2; }

@test "oci-serve: --scrub finds a flipped byte, --repair sets it aside, a push heals" {
  local layer manifest digest
  serve
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  run -0 oci-serve --scrub --storage storage --quiet # next to the server
  [[ $output == *'"counts":{"bad":0,"good":'* ]]
  layer=$(blobs | sed -n 1p)
  manifest=storage/blobs/$(expected | awk '$1 == "busybox" { sub(":", "/", $3); print $3 }')
  flip "$layer"
  flip "$manifest"
  run -1 --separate-stderr oci-serve --scrub --storage storage --quiet
  digest=sha256:${layer##*/}
  [ "$(jq -r 'select(.kind == "blob") | .digest' <<<"$output" | sort | xargs)" = \
    "$(printf 'sha256:%s\n' "${layer##*/}" "${manifest##*/}" | sort | xargs)" ]
  [ "$(jq -r 'select(.kind == "summary") | .counts.bad' <<<"$output")" = 2 ]
  [[ $stderr == *"blobs/sha256/${layer##*/}: its content has another digest (in "* ]]
  [[ $stderr == *"blobs/sha256/${manifest##*/}: its content has another digest (in busybox:1.37.0)"* ]]
  [[ $stderr == *'hint: '* ]]
  run -75 oci-serve --scrub --repair --storage storage --quiet
  stop "$server"

  run -1 --separate-stderr oci-serve --scrub --repair --storage storage --quiet
  [ "$(jq -r 'select(.kind == "summary") | .counts.setAside' <<<"$output")" = 2 ]
  [ -z "$(find storage/blobs storage/repositories -name "${layer##*/}" -o -name "${manifest##*/}")" ]
  [ "$(find storage/quarantine -type f | wc -l)" = 2 ]
  run -0 oci-serve --scrub --storage storage --quiet
  serve
  run -22 curl -sf "http://$registry/v2/busybox/manifests/1.37.0"
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  same "$(expected)" "$(published)"
  run -0 oci-serve --scrub --storage storage --quiet
  [ -s "storage/blobs/sha256/${digest#sha256:}" ]
}
