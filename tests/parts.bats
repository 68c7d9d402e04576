#!/usr/bin/env bats
# A bundle that was carried in parts, as split(1) and download.sh make them, with
# every tool that reads a bundle.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run

load lib/helper

# A signed bundle in parts, with the signature of the whole and checksums; and the
# whole, to compare with.
setup_file() {
  export PARTS=$BATS_FILE_TMPDIR/parts KEY=$BATS_FILE_TMPDIR/cosign.pub WHOLE=$BATS_FILE_TMPDIR/bundle.tgz
  mkbundle --k0s stand-in --size 6MiB --out "$WHOLE" --manifest "$BATS_FILE_TMPDIR/manifest.json"
  openssl ecparam -name prime256v1 -genkey -noout -out "$BATS_FILE_TMPDIR/key.pem"
  openssl ec -in "$BATS_FILE_TMPDIR/key.pem" -pubout -out "$KEY" 2>/dev/null
  mkdir "$PARTS"
  openssl dgst -sha256 -sign "$BATS_FILE_TMPDIR/key.pem" "$WHOLE" | base64 -w0 >"$PARTS/bundle.tgz.sig"
  split -b 700000 "$WHOLE" "$PARTS/bundle.tgz.part-"
}

# checksums DIR: of the parts there.
checksums() { (cd "$1" && sha256sum bundle.tgz.part-?? >bundle.tgz.sha256); }

@test "parts: every tool reads them as the whole, by the first one or in any order" {
  local first=$PARTS/bundle.tgz.part-aa
  whole=$(sha256sum <"$WHOLE")
  for operands in "$first" "$PARTS/bundle.tgz.part-ab" "$(echo "$PARTS"/*)" "$(printf '%s\n' "$PARTS"/*part-* | tac | xargs)"; do
    # shellcheck disable=SC2086 # words
    run -0 --separate-stderr bundle-verify --key "$KEY" $operands
    [ "$(jq -r '"\(.path) \(.size) \(.digest) \(.signature) \(.signatureFile)"' <<<"$output")" = \
      "$first $(stat -c %s "$WHOLE") sha256:${whole%% *} good $PARTS/bundle.tgz.sig" ]
    # shellcheck disable=SC2086 # words
    same "$(bundle-ls "$WHOLE" | jq -c 'del(.bundle, .seconds)')" "$(bundle-ls $operands | jq -c 'del(.bundle, .seconds)')"
    # shellcheck disable=SC2086 # words
    [ "$(bundle-version --all --format '{{.version}} {{.k0s}}' $operands)" = "$(bundle-version --all --format '{{.version}} {{.k0s}}' "$WHOLE")" ]
    # shellcheck disable=SC2086 # words
    k0s-extract --quiet --to "$PWD/k0s" --replace $operands >/dev/null
    k0s-extract --quiet --to "$PWD/k0s.whole" --replace "$WHOLE" >/dev/null
    cmp k0s k0s.whole
  done
}

@test "parts: they are pushed in the pass that verifies them, and the pipe hands them on" {
  local n=0 commands=(
    "bundle-verify --quiet --key '$KEY' '$PARTS'/* | bundle-version | bundle-ls | oci-push --quiet --to"
    "bundle-ls '$PARTS/bundle.tgz.part-aa' | oci-push --quiet --to"
    "bundle-ls '$PARTS/bundle.tgz.part-aa' | tee copy | oci-push --quiet --to"
    "bundle-verify --quiet --key '$KEY' '$PARTS/bundle.tgz.part-ab' | oci-push --quiet '$PARTS/bundle.tgz.part-aa' --verified-by - --to"
  )
  for command in "${commands[@]}"; do
    n=$((n + 1))
    mkdir $n
    cd $n
    serve
    eval "$command $registry" >pushed
    same "$(expected "$BATS_FILE_TMPDIR/manifest.json")" "$(published)"
    cd "$OLDPWD"
  done
  # bundle-ls has left the series to oci-push.
  serve
  exec {push}> >(exec oci-push --quiet --to "$registry" >/dev/null 3>&-)
  servers+=("$!")
  asleep "$!" # it waits for records
  bundle-ls --verbose "$PARTS/bundle.tgz.part-aa" 1>&"$push" 2>left
  exec {push}>&-
  wait "${servers[-1]}"
  grep -q 'the reader lists the rest' left
}

@test "parts: on two media, all of them are named" {
  mkdir one two
  cp "$PARTS"/* one
  mv one/*part-ab two
  run -1 --separate-stderr bundle-ls one/bundle.tgz.part-aa
  [[ $stderr == 'bundle-ls: one/bundle.tgz.part-ab: missing, but bundle.tgz.part-ac exists'*'hint: copy it next to the other parts, or name the parts on all media'* ]]
  serve
  bundle-verify --quiet --key "$KEY" two/* one/* | bundle-ls | oci-push --quiet --to "$registry" >pushed
  same "$(expected "$BATS_FILE_TMPDIR/manifest.json")" "$(published)"
  [[ $(jq -r 'select(.kind == "bundle").path' pushed) == "$PWD/one/bundle.tgz.part-aa:$PWD/two/bundle.tgz.part-ab:$PWD/one/bundle.tgz.part-ac:"* ]]
}

@test "parts: one that is wrong is named, and nothing is published" {
  local wrong
  serve
  checksums "$PARTS"
  for wrong in altered swapped shortened missing extra; do
    cp -r "$PARTS" $wrong
  done
  rm "$PARTS/bundle.tgz.sha256"
  printf 'Nothing of the kind' | dd of=altered/bundle.tgz.part-ac bs=1 seek=1000 conv=notrunc status=none
  mv swapped/bundle.tgz.part-ab x
  mv swapped/bundle.tgz.part-ac swapped/bundle.tgz.part-ab
  mv x swapped/bundle.tgz.part-ac
  truncate -s -1 shortened/bundle.tgz.part-ac
  rm missing/*part-ac
  echo left over >"extra/bundle.tgz.part-$(printf '%s\n' extra/*part-?? | tail -n 1 | sed 's/.*-//' | tr 'a-y' 'b-z' | sed 's/^./a/')"
  for wrong in altered:part-ac swapped:part-ab shortened:part-ac missing:part-ac extra:part-; do
    run -1 --separate-stderr bash -c "set -o pipefail; bundle-verify --quiet --key '$KEY' ${wrong%:*}/bundle.tgz.part-aa | oci-push --quiet --to $registry ${wrong%:*}/bundle.tgz.part-aa --verified-by -"
    # Each tool looks for missing parts; whichever ends first, the other may be silent.
    grep -qE "^(bundle-verify|oci-push): (.*/)?${wrong%:*}/bundle.tgz.${wrong#*:}" <<<"$stderr" || { echo "$wrong: $stderr"; false; }
    [ "$(published)" = '' ]
    # The same of a listing, although damage may show before the part's end.
    run -1 --separate-stderr bundle-ls --quiet ${wrong%:*}/bundle.tgz.part-aa
    grep -q "^bundle-ls: .*${wrong%:*}/bundle.tgz.${wrong#*:}" <<<"$stderr" || { echo "$wrong: $stderr"; false; }
  done
}

@test "download.sh: a file system whose files cannot grow to the size is named" {
  local program
  need curl wget
  mkdir -p served/1.2.3 bin
  truncate -s 4300000000 served/1.2.3/airgap-bundle-1.2.3.tar.gz
  echo key >served/cosign.pub
  echo signature >served/1.2.3/airgap-bundle-1.2.3.tar.gz.sig
  serve --files served --files-http 127.0.0.1:0 --format '{{.files}} {{.address}}'
  for program in sh dirname basename sed tr mv rm mkdir wc sleep head tail; do ln -s "$(type -P $program)" bin/; done
  for program in curl wget; do
    ln -s "$(type -P $program)" bin/
    mkdir $program
    truncate -s 4294967295 $program/airgap-bundle-1.2.3.tar.gz.part
    # The limit is one byte more than that of FAT32, as it counts in blocks.
    run -1 --separate-stderr bash -c "trap '' XFSZ; ulimit -f 4194304; cd $program && PATH=\$1 K0RDENT_DOWNLOAD_URL=\$2 exec sh \$3 1.2.3" - "$PWD/bin" "${served% *}/files" "$ROOT/download.sh"
    [[ $stderr == *'FAT32 holds no file of 4 GiB or more'*'hint: add --parts 4G, '* ]]
    rm -r bin/$program $program
  done
}
