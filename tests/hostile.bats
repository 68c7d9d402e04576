#!/usr/bin/env bats
# Damaged and malicious bundles, through the whole pipe.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run

load lib/helper

# The tools' own tests cover every defect; here, one of each class goes through the
# pipe.
@test "hostile: a bundle with one defect: only intact archives are published, and the defect is reported" {
  local defect
  serve
  for defect in truncated-mid-entry flipped-bit wrong-layer-digest missing-manifest inner-truncated index-bomb path-dotdot symlink; do
    echo "$defect"
    mkbundle --defect $defect --out bad.tgz --manifest bad.json
    run -1 --separate-stderr bash -c "set -o pipefail; bundle-ls --quiet bad.tgz | oci-push --to $registry/$defect --quiet"
    echo "$stderr"
    [[ $stderr != *goroutine* && $stderr != *panic* ]]
    run ! grep -v -e '^oci-push: ' -e '^bundle-ls: ' -e '^hint: ' <<<"$stderr"
    same "$(expected bad.json)" "$(published | sed -n "s,^$defect/,,p")"
  done
}

@test "hostile: a truncated bundle, at many places" {
  local size at
  serve
  size=$(stat -c %s "$SAMPLE/bundle.tgz")
  for at in 1 20 1000 $((size / 4)) $((size / 2)) $((size - 20)) $((size - 1)); do
    head -c "$at" "$SAMPLE/bundle.tgz" >cut.tgz
    run -1 --separate-stderr bundle-ls cut.tgz
    explained bundle-ls
    run -1 --separate-stderr oci-push --to "$registry" --quiet cut.tgz
    [[ $stderr == *cut.tgz* && $stderr != *goroutine* ]]
    audit storage >/dev/null
  done
  # What arrived is complete and correct; an intact bundle completes it.
  [ -z "$(comm -23 <(published) <(expected))" ]
  oci-push --to "$registry" --quiet "$SAMPLE/bundle.tgz" >/dev/null
  same "$(expected)" "$(published)"
}

@test "hostile: flipped bits never reach a tag" {
  local size at
  serve
  size=$(stat -c %s "$SAMPLE/bundle.tar")
  for at in 5000 $((size / 5)) $((size / 3)) $((size / 2)) $((size - size / 4)); do
    cp "$SAMPLE/bundle.tar" flipped.tar
    printf '\xff\xfe\xfd\xfc' | dd of=flipped.tar bs=1 seek="$at" conv=notrunc status=none
    run --separate-stderr oci-push --to "$registry" --quiet flipped.tar
    [ "$status" -le 1 ]
    [[ $stderr != *goroutine* ]]
    audit storage >/dev/null
    [ -z "$(comm -23 <(published) <(expected))" ]
  done
}

@test "hostile: names in a bundle cannot move the cursor or fake a line" {
  local name
  mkdir -p 'bundle/charts'
  name=$'bundle/charts/evil\e[2J\nbundle-ls: all is well_1.0.tar'
  echo 'not an archive' >"$name"
  run --separate-stderr bundle-ls bundle
  [[ $stderr != *$'\e'* ]]
  run ! grep -qx 'bundle-ls: all is well.*' <<<"$stderr"
  [ "$(grep -c . <<<"$output")" = "$(jq -c . <<<"$output" | grep -c .)" ]
}

@test "hostile: a symlink out of a directory bundle is not followed" {
  mkdir bundle
  cp -r "$SAMPLE/bundle/charts" bundle/
  cp "$SAMPLE/bundle/busybox_1.37.0.tar" secret.tar
  ln -s ../secret.tar bundle/secret_1.0.tar
  run --separate-stderr bundle-ls bundle
  run ! grep -q '"type":"image".*secret\|secret.*"type":"image"' <<<"$output"
  [[ $output$stderr == *secret_1.0.tar* ]]
}
