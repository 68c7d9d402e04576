#!/usr/bin/env bats
# The tools for hosts that carry bundles, on Windows as Wine has it. What Windows
# says about an error is worded otherwise there.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run

load lib/helper

setup_file() {
  export WINE=$ROOT/.cache/wine WINEPREFIX=$BATS_FILE_TMPDIR/prefix WINEDEBUG=-all
  [ -d "$WINE" ] || return 0
  # On a busy machine Wine has killed a program that was exiting, and so lost its status.
  export FIRST=
  [ -n "$(nice -n -10 true 2>&1)" ] || FIRST='nice -n -10'
  cp -a --reflink=auto "$WINE/prefix" "$WINEPREFIX"
  mkdir "$BATS_FILE_TMPDIR/"{home,tmp}
  GOOS=windows GOARCH=amd64 make -s -C "$ROOT" build BIN="$BATS_FILE_TMPDIR/bin" TOOLS='bundle-ls bundle-verify bundle-version oci-push'
  # shellcheck disable=SC2086 # words
  HOME=$BATS_FILE_TMPDIR/home TMPDIR=$BATS_FILE_TMPDIR/tmp $FIRST "$WINE/lib/wine/wineserver" -f -p </dev/null >/dev/null 2>&1 3>&- &
}

teardown_file() {
  [ ! -d "$WINEPREFIX" ] || HOME=$BATS_FILE_TMPDIR/home TMPDIR=$BATS_FILE_TMPDIR/tmp "$WINE/lib/wine/wineserver" -k
  wait
}

# wine PROGRAM [ARG…]: runs a program for Windows, which replaces this process.
# shellcheck disable=SC2086 # words
wine() { exec env HOME="$BATS_FILE_TMPDIR/home" TMPDIR="$BATS_FILE_TMPDIR/tmp" $FIRST "$WINE/lib/wine/wine64" "$@" 3>&-; }

# win TOOL [ARG…]: runs a tool for Windows.
win() { (wine "$BATS_FILE_TMPDIR/bin/$1.exe" "${@:2}"); }

# named FILE: its absolute path, as Windows writes it.
named() { realpath -m "$1" | sed 's,/,\\,g; s,^,Z:,'; }

# windows: skips a test where there is no Wine.
windows() {
  [ -d "$WINE" ] || skip 'no Wine on this machine'
  cp "$SAMPLE/bundle.tgz" .
}

# signed FILE…: signs files with a key of the test's own, cosign.pub. What was
# saved on Windows has its line ends.
signed() {
  local file
  openssl ecparam -name prime256v1 -genkey -noout -out key
  openssl pkey -in key -pubout | sed 's/$/\r/' >cosign.pub
  for file; do { openssl dgst -sha256 -sign key "$file" | base64 -w 0 && printf '\r\n'; } >"$file.sig"; done
}

@test "windows: a bundle is verified, listed and pushed over TLS, in a pipe" {
  need jq openssl
  windows
  signed bundle.tgz
  serve --tls auto
  win bundle-verify --key cosign.pub bundle.tgz | win bundle-version | win bundle-ls |
    win oci-push --to "$registry" --ca 'storage\tls\ca.pem' --quiet >pushed
  same "$(expected)" "$(jq -r 'select(.status == "pushed") | "\(.repository) \(.tag) \(.digest)"' pushed | sort)"
  same "$(expected)" "$(bundle-ls --registry "$registry" --ca storage/tls/ca.pem --quiet --format '{{.repository}} {{.tag}} {{.digest}}' | sort)"
  [ "$(jq -r 'select(.kind == "bundle").path' pushed)" = "$(named bundle.tgz)" ]
  # By cmd, whose pipes and redirections are others; and without the certificate.
  printf '%s\r\n' '@"%BIN%\bundle-ls.exe" bundle.tgz | "%BIN%\oci-push.exe" --to %REGISTRY% --ca storage\tls\ca.pem --quiet >pushed' \
    '@"%BIN%\oci-push.exe" --to %REGISTRY% --ca storage\tls\ca.pem --quiet - <bundle.tgz >again' >push.cmd
  (BIN=$(named "$BATS_FILE_TMPDIR/bin") REGISTRY=$registry wine 'C:\windows\system32\cmd.exe' /c push.cmd)
  same "$(expected)" "$(jq -r 'select(.status == "exists") | "\(.repository) \(.tag) \(.digest)"' pushed | sort)"
  same "$(expected)" "$(jq -r 'select(.status == "exists") | "\(.repository) \(.tag) \(.digest)"' again | sort)"
  run -1 --separate-stderr win oci-push --to "$registry" --quiet bundle.tgz
  explained oci-push
  [[ $stderr == *certificate* ]]
}

@test "windows: a bad signature ends the whole pipe, and nothing is pushed" {
  need openssl
  windows
  signed bundle.tgz
  printf x >>bundle.tgz
  serve
  win bundle-verify --key cosign.pub bundle.tgz >records || [ $? = 1 ]
  run -1 --separate-stderr win oci-push --to "$registry" --quiet <records
  [[ $output == *'"signature":"bad"'* && $stderr == *'its signature is bad'* ]]
  same '' "$(bundle-ls --registry "$registry" --quiet --format '{{.repository}}')"
}

@test "windows: drive letters, backslashes, long paths and parts on two media" {
  local all far
  need jq openssl
  windows
  signed bundle.tgz
  all=$(win bundle-ls --quiet --format '{{.repository}} {{.tag}}' "$(named bundle.tgz)")
  same "$(expected | cut -d' ' -f1,2)" "$(sort <<<"$all" | grep -v '^ *$')"
  # Longer than Windows once allowed.
  far="my files/$(printf '%0100d/%0100d/%0100d' 1 2 3)"
  mkdir -p "$far"
  mv bundle.tgz bundle.tgz.sig "$far"
  run -0 --separate-stderr win bundle-verify --key "$(named cosign.pub)" --format '{{.signature}} {{.path}}' "$(named "$far/bundle.tgz")"
  [ "$output" = "good $(named "$far/bundle.tgz")" ]
  # A slash is a separator as well, and a drive has a current directory.
  run -0 --separate-stderr win bundle-verify --key z:cosign.pub --format '{{.signature}}' "z:$far/bundle.tgz"
  [ "$output" = good ]

  mkdir e f
  split -n 3 -d -a 3 --numeric-suffixes=1 "$far/bundle.tgz" b.tgz.
  sha256sum b.tgz.00? | sed 's/$/\r/' >e/b.tgz.sha256
  cp "$far/bundle.tgz.sig" e/b.tgz.sig
  mv b.tgz.00[13] e
  mv b.tgz.002 f
  win bundle-verify --key cosign.pub "$(named f/b.tgz.002)" 'e\b.tgz.003' 'e\b.tgz.001' >records
  [ "$(jq -r .path records)" = "$(named e/b.tgz.001);$(named f/b.tgz.002);$(named e/b.tgz.003)" ]
  same "$all" "$(win bundle-ls --quiet --format '{{.repository}} {{.tag}}' <records)"
  # By one of them, in upper case, with the others next to it.
  mv f/b.tgz.002 e
  run -0 --separate-stderr win bundle-verify --key cosign.pub --format '{{.path}}' 'E\B.TGZ.002'
  [[ $output == *'\b.tgz.001' ]]
}

@test "windows: a record that names a file of another system is refused" {
  need openssl
  windows
  signed bundle.tgz
  bundle-verify --key cosign.pub bundle.tgz >unix
  run -1 --separate-stderr win bundle-ls <unix
  [[ $stderr == "bundle-ls: stdin: line 1: $PWD/bundle.tgz is a path of another system"* ]]
  win bundle-verify --key cosign.pub bundle.tgz >windows
  run -1 --separate-stderr bundle-ls <windows
  [[ $stderr == "bundle-ls: stdin: line 1: $(named bundle.tgz) is a path of another system"* ]]
}

@test "windows: exit codes, misuse, and what needs Linux" {
  need openssl
  windows
  [[ $(win oci-push --version) == 'oci-push '*' windows/amd64' ]]
  run -1 --separate-stderr win bundle-ls 'C:\nosuch\b.tgz'
  explained bundle-ls
  run -1 --separate-stderr win bundle-ls NUL
  [[ $stderr == *'the file is empty'* ]]
  run -1 --separate-stderr win bundle-ls x:y
  explained bundle-ls
  run -2 --separate-stderr win oci-push --to 'C:\registry' bundle.tgz
  [[ $stderr == *'invalid --to "C:\\registry"'* ]]
  run -2 --separate-stderr win oci-push --to localhost:1 --files out bundle.tgz
  [[ $stderr == *'--files is not supported on this system'* && ! -e out ]]
  signed bundle.tgz
  run -1 --separate-stderr win bundle-verify --key cosign.pub --signature . bundle.tgz
  [[ $stderr == *'is a directory'* ]]
  run -75 --separate-stderr win oci-push --to localhost:1 --quiet bundle.tgz
  [[ $stderr == *'registry unreachable'* ]]
}

@test "windows: the first Ctrl-C ends a run in order" {
  local pid status=137
  windows
  for _ in 1 2 3; do
    [ $status = 137 ] || break # Wine killed it while it exited
    status=0
    : >err
    wine "$BATS_FILE_TMPDIR/bin/oci-push.exe" --to localhost:1 bundle.tgz >records 2>err &
    pid=$!
    for _ in {1..200}; do
      ! grep -q 'trying again' err || break
      sleep 0.1
    done
    kill -INT "$pid"
    wait "$pid" || status=$?
    [ "$(tail -n 1 err)" = 'oci-push: interrupted' ]
  done
  [ $status = 130 ]
}

@test "windows: a reader that exits ends the writer without a message" {
  windows
  win bundle-ls --quiet "$(named bundle.tgz)" 2>err | head -n 1 >records || [ $? = 1 ]
  [ "$(wc -l <records)" = 1 ]
  same '' "$(cat err)"
}
