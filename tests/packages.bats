#!/usr/bin/env bats
# The release: built twice, inspected, installed and removed.
# shellcheck disable=SC2153,SC2154 # ROOT is set by setup_suite, output by run

load lib/helper

# Two releases of this tree, the second from a copy without git, elsewhere, with
# another umask and another clock.
setup_file() {
  export ONE=$BATS_FILE_TMPDIR/one OTHER=$BATS_FILE_TMPDIR/other
  mkdir "$BATS_FILE_TMPDIR/copy"
  tar -C "$ROOT" --exclude-vcs --exclude=./{.cache,bin,dist,cmd/k0s-extract/embedded} -c . | tar -x -C "$BATS_FILE_TMPDIR/copy"
  export SOURCE_DATE_EPOCH=1750000000 RELEASE=v9.8.7 ARCHES=amd64
  export KEY=$BATS_FILE_TMPDIR/release.key
  openssl ecparam -name prime256v1 -genkey -noout -out "$KEY"
  (umask 077 && TZ=Asia/Tokyo exec make -s -C "$BATS_FILE_TMPDIR/copy" dist DIST="$OTHER") >/dev/null 3>&- &
  make -s -C "$ROOT" dist DIST="$ONE" >/dev/null
  wait $!
  mkdir "$BATS_FILE_TMPDIR/archive"
  tar -C "$BATS_FILE_TMPDIR/archive" --strip-components=1 -xzf "$ONE/k0rdent-airgap-9.8.7-linux-amd64.tar.gz"
}

# released SUFFIX: the only file of the release with that suffix.
released() { ls "$ONE"/*"$1"; }

# pages and the like of all tools, below PREFIX/share.
shared() {
  local tool page
  for tool in $(tools); do
    printf '%s\n' "bash-completion/completions/$tool" "fish/vendor_completions.d/$tool.fish" "zsh/site-functions/_$tool"
  done
  for page in "$ROOT"/man/*.[1-9]; do echo "man/man${page##*.}/${page##*/}"; done
}

# papers: a release's documents, below PREFIX/share.
papers() {
  local tool
  for tool in $(tools); do echo "doc/k0rdent-airgap/sbom/$tool.cdx.json"; done
  printf 'doc/k0rdent-airgap/%s\n' README.md CHANGELOG.md copyright
}

# packaged: the files of a package.
packaged() {
  tools | sed 's,^,/usr/bin/,'
  { shared && papers; } | sed 's,^,/usr/share/,'
  printf '/usr/%s\n' bin/k0rdent-airgap-install lib/k0rdent-airgap/{hosts,run,serve,site,uninstall}.sh lib/systemd/system/{oci-push-sync.{service,timer},oci-serve.{service,socket}} lib/sysusers.d/oci-serve.conf
  printf '/etc/k0rdent-airgap/%s\n' oci-push-sync.env oci-serve.env
}

# whole COMMAND…: this installed install.sh has its other parts and the tools.
whole() {
  run -1 --separate-stderr "$@" --status
  [[ $stderr == 'install.sh: nothing is installed on this host, '* ]]
  run -0 --separate-stderr "$@" --export-worker /worker.tar.gz --host-address 10.0.0.5 --plan
  [[ $output == *' && cp -r '*'/lib/k0rdent-airgap /var/lib/k0rdentd/install/pack/install'$'\n'* ]]
  run -0 --separate-stderr "$@" --uninstall --plan
  [[ $output == *$'\nk0s-up --reset --yes </dev/null\n'* ]]
}

# files DIR: the files below it.
files() { (cd "$1" && find . ! -type d | sed 's,^\.,,' | sort); }

@test "packages: a second build elsewhere has the same bytes" {
  same "$(cat "$ONE/SHA256SUMS")" "$(cat "$OTHER/SHA256SUMS")"
  (cd "$ONE" && sha256sum --quiet --strict -c SHA256SUMS)
  same "$(cd "$ONE" && ls -- *.deb *.gz *.rpm *.zip)" "$(sed 's/^[^ ]*  //' "$ONE/SHA256SUMS" | sort)"
}

@test "packages: a release is signed like cosign does, and bundle-verify verifies it" {
  need openssl
  openssl pkey -in "$KEY" -pubout -out release.pub
  run -0 --separate-stderr bundle-verify --key release.pub --format '{{.signature}}' "$ONE/SHA256SUMS"
  [ "$output" = good ]
  openssl dgst -sha256 -verify release.pub -signature <(base64 -d "$ONE/SHA256SUMS.sig") "$ONE/SHA256SUMS"
  # Another list of checksums does not match the signature.
  sed 's/^./0/' "$ONE/SHA256SUMS" >SHA256SUMS
  cp "$ONE/SHA256SUMS.sig" .
  run -1 --separate-stderr bundle-verify --key release.pub --format '{{.signature}}' SHA256SUMS
  [ "$output" = bad ]
  # An unusable key ends the build before it begins.
  run -2 make -s -C "$ROOT" dist KEY="$PWD/release.pub" DIST="$PWD/dist"
  [[ $output == *'release.pub is not a private key'* && ! -e dist ]]
}

@test "packages: the archive has everything that install.sh needs, readable by everyone" {
  local archive=$BATS_FILE_TMPDIR/archive
  same "$({
    tools | sed 's,^,/bin/,'
    { shared && papers; } | sed 's,^,/share/,'
    printf '/%s\n' README.md CHANGELOG.md LICENSE download.sh install.sh
    (cd "$ROOT/lib" && find install systemd -type f | sed 's,^,/,')
  } | sort)" "$(files "$archive")"
  [ -z "$(find "$archive" ! -perm -444)" ]
  [ -z "$(find "$archive" -perm /022)" ]
  run -0 env PATH=/usr/bin:/bin "$archive/install.sh" --version
  [[ $output == 'install.sh v9.8.7 '* ]]
}

@test "packages: each tool has its bill of materials, and each module its licence" {
  local tool archive=$BATS_FILE_TMPDIR/archive bom
  need jq
  for tool in $(tools); do
    [[ $("$archive/bin/$tool" --version) == "$tool v9.8.7 "* ]]
    bom=$archive/share/doc/k0rdent-airgap/sbom/$tool.cdx.json
    same "$(go version -m "$archive/bin/$tool" | awk '$1 == "dep" {print $2 "@" $3}' | sort)" \
      "$(jq -r '.components[] | select(.name != "std") | "\(.name)@\(.version)"' "$bom" | sort)"
    [ "$(jq -r '.metadata.component | "\(.name) \(.version) \(.hashes[0].content)"' "$bom")" = "$tool 9.8.7 $(sha256sum <"$archive/bin/$tool" | cut -d' ' -f1)" ]
    [ "$(jq -r '.bomFormat + .metadata.timestamp' "$bom")" = CycloneDX2025-06-15T15:06:40Z ]
    jq -r '.components[] | select(.name != "std") | "\(.name)@\(.version)"' "$bom" >>modules
  done
  same '' "$(comm -23 <(sort -u modules) <(sed -n 's/^==== \(.*\): .*/\1/p' "$archive/share/doc/k0rdent-airgap/copyright" | sort -u))"
}

# carried OS: the files of an archive for hosts that carry bundles.
carried() {
  local tool page exe=''
  [ "$1" = darwin ] || exe=.exe
  for tool in "${carry[@]}"; do
    printf '/%s\n' "bin/$tool$exe" "sbom/$tool.cdx.json"
    [ "$1" = windows ] ||
      printf '/share/%s\n' "bash-completion/completions/$tool" "fish/vendor_completions.d/$tool.fish" "zsh/site-functions/_$tool"
  done
  for page in "${carry[@]/%/.1}" k0rdent-airgap.7 k0rdent-records.5; do
    printf '/docs/man/%s.md\n' "$page"
    [ "$1" = windows ] || echo "/share/man/man${page##*.}/$page"
  done
  printf '/%s\n' README.md CHANGELOG.md LICENSE copyright docs/tutorial.md
  [ "$1" = windows ] || echo /download.sh
}

@test "packages: macOS and Windows get the tools that carry a bundle" {
  local os tool carry=(bundle-ls bundle-verify bundle-version oci-push)
  need bsdtar jq
  mkdir darwin windows
  bsdtar -C darwin --strip-components=1 -xf "$ONE/k0rdent-airgap-9.8.7-darwin-amd64.tar.gz"
  bsdtar -C windows --strip-components=1 -xf "$ONE/k0rdent-airgap-9.8.7-windows-amd64.zip"
  same 'k0rdent-airgap-9.8.7-windows-amd64' "$(bsdtar -tf "$ONE/k0rdent-airgap-9.8.7-windows-amd64.zip" | cut -d/ -f1 | sort -u)"
  for os in darwin windows; do
    same "$(carried $os | sort)" "$(files $os)"
    [ -z "$(find $os ! -perm -444)" ]
    [ -z "$(find $os -perm /022)" ]
    for tool in "$os"/bin/*; do
      [ -x "$tool" ]
      [ "$(stat -c %Y "$tool")" = 1750000000 ]
      [[ $(go version -m "$tool") == *GOOS=$os* ]]
      [[ $(go version -m "$tool") == *GOARCH=amd64* ]]
      # The bill of materials is that of this program.
      [ "$(jq -r '.metadata.component.hashes[0].content' "$os/sbom/$(basename "$tool" .exe).cdx.json")" = "$(sha256sum <"$tool" | cut -d' ' -f1)" ]
    done
  done
  same ' cf fa ed fe 07 00 00 01' "$(head -c 8 darwin/bin/oci-push | od -An -tx1)" # Mach-O, 64 bits, x86-64
  same ' 4d 5a' "$(head -c 2 windows/bin/oci-push.exe | od -An -tx1)" # MZ
  # The links of the README to these pages lead somewhere.
  for tool in "${carry[@]}"; do [ -e "windows/$(grep -oE "docs/man/$tool\.1\.md" "$ROOT/README.md" | head -n 1)" ]; done
  run -0 env PATH="$PWD/darwin:/usr/bin:/bin" download.sh 1.2.3 --plan
}

@test "packages: the FIPS variant has the same files, built with the module" {
  local tool
  mkdir fips
  tar -C fips --strip-components=1 -xzf "$ONE/k0rdent-airgap-9.8.7-linux-amd64-fips.tar.gz"
  same "$(files "$BATS_FILE_TMPDIR/archive")" "$(files fips)"
  for tool in $(tools); do
    [[ $("fips/bin/$tool" --version) == "$tool v9.8.7 "*' fips140=v1.0.0-'* ]]
    [[ $(GODEBUG=fips140=off "fips/bin/$tool" --version) == *' (off)' ]]
    [[ $("$BATS_FILE_TMPDIR/archive/bin/$tool" --version) != *fips140* ]]
  done
  # The script that calls them names the module as well.
  [[ $(fips/install.sh --version) == *fips140=v1.0.0-* ]]
}

@test "packages: with approved algorithms only, the FIPS variant does the whole job over TLS" {
  need openssl jq
  mkdir fips
  tar -C fips --strip-components=1 -xzf "$ONE/k0rdent-airgap-9.8.7-linux-amd64-fips.tar.gz"
  export PATH=$PWD/fips/bin:$PATH GODEBUG=fips140=only
  openssl pkey -in "$KEY" -pubout -out release.pub
  cp "$SAMPLE/bundle.tgz" .
  openssl dgst -sha256 -sign "$KEY" -out bundle.tgz.sig bundle.tgz
  serve --tls auto
  bundle-verify --key release.pub bundle.tgz | bundle-version | bundle-ls | oci-push --to "$registry" --ca storage/tls/ca.pem --quiet >pushed
  bundle-ls --registry "$registry" --ca storage/tls/ca.pem --quiet --format '{{.repository}} {{.tag}} {{.digest}}' >there
  same "$(expected)" "$(sort there)"
  k0s-extract --to k0s --quiet bundle.tgz
  # Charts are read and rendered; what is missing is k0s, which nothing serves.
  run -1 --separate-stderr k0rdent-install --rehearse --registry "${registry/localhost/127.0.0.1}" --ca storage/tls/ca.pem --format '{{.detail}}'
  [[ $output == *' has no k0s-'* && $output$stderr != *fips140* ]]
  # What the module does not compute says so.
  echo secret >password
  run -2 --separate-stderr oci-serve --passwd someone --password-file password
  [[ $stderr == 'oci-serve: bcrypt, which hashes passwords, is not part of the FIPS 140-3 module'*'GODEBUG=fips140=on' ]]
  openssl genpkey -algorithm ed25519 -out ed.key
  openssl pkey -in ed.key -pubout -out ed.pub
  openssl pkeyutl -sign -inkey ed.key -rawin -in bundle.tgz -out ed.sig
  run -2 --separate-stderr bundle-verify --key ed.pub --signature ed.sig bundle.tgz
  [[ $stderr == *'ed.pub: Ed25519 of a stream is not part of the FIPS 140-3 module'* ]]
  export GODEBUG=fips140=on
  run -0 bundle-verify --key ed.pub --signature ed.sig --format '{{.signature}}' bundle.tgz
  [ "$output" = good ]
  run -0 oci-serve --passwd someone --password-file password
}

@test "packages: make install installs everything, and make uninstall removes it" {
  local root=$PWD/root
  mkdir -p root/opt/bin
  touch root/opt/bin/other
  make -s -C "$ROOT" install DESTDIR="$root" PREFIX=/opt >/dev/null
  same "$({
    packaged | sed 's,^/usr/,/opt/,' | grep -v /share/doc/
    echo /opt/bin/other
  } | sort)" "$(files root)"
  grep -qx 'ExecStart=/opt/bin/oci-serve' root/opt/lib/systemd/system/oci-serve.service
  grep -q '^ExecStart=/opt/bin/oci-push ' root/opt/lib/systemd/system/oci-push-sync.service
  PATH=$root/opt/bin:/usr/bin:/bin whole k0rdent-airgap-install
  echo OCI_SERVE_PORT=1 >root/etc/k0rdent-airgap/oci-serve.env
  make -s -C "$ROOT" uninstall DESTDIR="$root" PREFIX=/opt >/dev/null
  same "$(printf '%s\n' /etc/k0rdent-airgap/oci-serve.env /opt/bin/other)" "$(files root)"
  [ ! -e root/opt/lib/k0rdent-airgap ]
  cp "$ROOT/lib/systemd/oci-serve.env" root/etc/k0rdent-airgap/
  make -s -C "$ROOT" uninstall DESTDIR="$root" PREFIX=/opt >/dev/null
  [ ! -e root/etc/k0rdent-airgap ]
}

# debian: a fresh tree of a small Debian, as $tree.
debian() {
  [ "$(id -u)" = 0 ] || skip 'not root'
  [ -d "$ROOT/.cache/debian" ] || skip 'no Debian tree: debootstrap could not make one'
  tree=$PWD/debian
  cp -a --reflink=auto "$ROOT/.cache/debian" "$tree"
}

# inside COMMAND…: in the tree, with an environment of its own.
inside() { chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive "$@" 3>&-; }

# looks: what is in the tree, without the records of dpkg and rpm.
looks() {
  (cd "$tree" && find . -xdev \( -path ./proc -o -path ./var/lib/dpkg -o -path ./var/lib/rpm -o -path ./var/log \
    -o -name '*-' -o -name .pwd.lock -o -name '.rpm*' \) -prune -o -printf '%p %y %m %U:%G\n' | sort)
  (cd "$tree/etc" && md5sum passwd group)
}

@test "packages: the deb installs, upgrades, is removed and purged, and leaves nothing" {
  local before
  debian
  before=$(looks)
  cp "$(released .deb)" debian/tmp/
  inside dpkg --force-unsafe-io -i "/tmp/$(basename "$(released .deb)")"
  same "$(packaged | sort)" "$(inside dpkg -L k0rdent-airgap | while read -r f; do [ -d "$tree$f" ] || echo "$f"; done | sort)"
  same '' "$(inside dpkg -V k0rdent-airgap | grep -v /usr/share/doc/)"
  [[ $(inside oci-serve --version) == 'oci-serve v9.8.7 '* ]]
  [ "$(inside stat -c %U:%a /usr/bin/oci-serve)" = root:755 ]
  [[ $(inside getent passwd oci-serve) == oci-serve:*:/var/lib/k0rdentd/registry:/usr/sbin/nologin ]]
  whole inside k0rdent-airgap-install

  # Changed settings survive an upgrade and a removal.
  echo OCI_SERVE_PORT=1 >debian/etc/k0rdent-airgap/oci-serve.env
  inside dpkg --force-unsafe-io --force-confdef -i "/tmp/$(basename "$(released .deb)")"
  inside dpkg -r k0rdent-airgap
  [ "$(cat debian/etc/k0rdent-airgap/oci-serve.env)" = OCI_SERVE_PORT=1 ]
  [ ! -e debian/usr/bin/oci-serve ]

  # The registry's storage is reported, and stays with its owner.
  inside install -d -o oci-serve /var/lib/k0rdentd/registry/blobs
  run -0 --separate-stderr inside dpkg -P k0rdent-airgap
  [[ $stderr == *'/var/lib/k0rdentd/registry and the user oci-serve stay'* ]]
  [ "$(inside stat -c %U /var/lib/k0rdentd/registry/blobs)" = oci-serve ]

  rm -r debian/var/lib/k0rdentd/registry/blobs
  inside dpkg --force-unsafe-io -i "/tmp/$(basename "$(released .deb)")"
  inside dpkg -P k0rdent-airgap
  rm debian/tmp/*.deb
  same "$before" "$(looks)"
}

@test "packages: the rpm has the same files, installs, and is removed" {
  local before
  need rpm
  export HOME=$BATS_TEST_TMPDIR # rpm makes a database there even to read a package
  debian
  same "$(packaged | sort)" "$(rpm -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' "$(released .rpm)" | sed -n 's/^-[^ ]* //p' | sort)"
  same "$(printf '/etc/k0rdent-airgap/%s.env\n' oci-push-sync oci-serve)" "$(rpm -qpc "$(released .rpm)" | sort)"
  before=$(looks)
  rpm --root "$tree" --initdb
  rpm --root "$tree" -i --nodeps "$(released .rpm)" 3>&-
  [[ $(inside oci-serve --version) == 'oci-serve v9.8.7 '* ]]
  inside getent passwd oci-serve
  whole inside k0rdent-airgap-install
  rpm --root "$tree" -e k0rdent-airgap 3>&-
  # The user stays, as is customary there, and so do directories that belong to all
  # packages.
  inside userdel oci-serve
  same "$(grep -v ' d ' <<<"$before")" "$(looks | grep -v ' d ')"
  same '' "$(looks | grep k0rdent)"
}
