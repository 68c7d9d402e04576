#!/usr/bin/env bats
# Bundles that are damaged or mean harm, through the whole pipe.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run

load lib/helper

@test "hostile: every one-defect bundle is told, and nothing of the bad archive is published" {
  local name class about
  serve
  mkbundle --list-defects >defects
  while read -r name class about; do
    echo "$name: $class: $about"
    mkbundle --defect "$name" --out bad.tgz --manifest bad.json
    run --separate-stderr oci-push --to "$registry" --quiet bad.tgz
    echo "status $status"
    echo "$stderr"
    [ "$status" = 0 ] || [ "$status" = 1 ]
    [[ $stderr != *goroutine* && $stderr != *panic* ]]
    audit -sparse storage >/dev/null
  done <defects
}

@test "hostile: a truncated bundle, at many places" {
  local size at
  serve
  size=$(stat -c %s "$SAMPLE/bundle.tgz")
  for at in 1 20 1000 $((size / 4)) $((size / 2)) $((size - 20)) $((size - 1)); do
    head -c "$at" "$SAMPLE/bundle.tgz" >cut.tgz
    run -1 --separate-stderr bundle-ls cut.tgz
    told bundle-ls
    run -1 --separate-stderr oci-push --to "$registry" --quiet cut.tgz
    [[ $stderr == *cut.tgz* && $stderr != *goroutine* ]]
    audit storage >/dev/null
  done
  # What arrived is whole and right; the rest comes with a whole bundle.
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
