#!/usr/bin/env bats
# The documentation of the tools, tested.
# shellcheck disable=SC2154,SC2034 # registry is set by serve, output and stderr by run; on uses there
# shellcheck disable=SC2016,SC2030,SC2031 # for shells over there; each test has its output

load lib/helper
load lib/host

# examples: the command lines of the README and the pages that need only a bundle
# and a registry on this host, as a person would copy them.
# shellcheck disable=SC2016 # backquotes of the README's fences
examples() {
  local page
  sed -n '/^```console/,/^```$/s/^\$ //p' "$ROOT/README.md" "$ROOT/docs/tutorial.md"
  for page in "$ROOT"/man/*.[1-9]; do
    mandoc -Tascii -O width=300 "$page" | sed -n 's/.\x08//g; s/^ *\$ //p'
  done
}

@test "docs: the examples of the README and the manual pages run unchanged" {
  local line count=0
  need mandoc openssl
  serve
  ln -s "$SAMPLE/bundle.tgz" bundle.tgz
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out cosign.pub 2>/dev/null
  openssl dgst -sha256 -sign key.pem -out bundle.tgz.sig bundle.tgz
  export K0S_EXTRACT_TO=$PWD/k0s # what would be /usr/local/bin/k0s
  examples | grep -E '^(bundle-|oci-push|echo )' | grep -v -e '\\$' -e '|$' -e '--to [^l]' >lines
  while IFS= read -r line; do
    echo "$line"
    count=$((count + 1))
    bash -c "set -o pipefail; ${line//localhost:5000/$registry}" </dev/null >out 2>err || { tail err; false; }
  done <lines
  [ $count -ge 12 ]
  [ -x k0s ]
  # One example adds a second name.
  same "$({ expected; expected | sed -n 's,^k0sproject/coredns 1.12.2 ,coredns/coredns v1.12.2 ,p'; } | sort)" "$(published)"
}

@test "docs: make docs renders every page, each links back, and no link is broken" {
  local page link
  need mandoc
  make -s -C "$ROOT" docs DIST="$PWD"
  for page in "$ROOT"/man/*.[1-9]; do
    page=${page##*/}
    grep -qi "<title>${page%.*}(${page##*.})</title>" "docs/$page.html"
    grep -qF "<a href=\"$page.html\">" docs/index.html
  done
  (cd "$ROOT/docs" && find . -name '*.md' ! -path './man/*' | sed 's,README,index,; s,\.md$,.html,') | sort >pages
  while read -r page; do
    grep -q '<title>[^<]' "docs/$page"
  done <pages
  find docs -name '*.html' ! -path docs/index.html >pages
  [ "$(wc -l <pages)" -gt 30 ]
  while read -r page; do
    case ${page#docs/} in
    */index.html) link='../index.html">k0rdent-airgap</a></p>' ;;
    decisions/*) link='../index.html">k0rdent-airgap</a> / <a href="index.html">decisions</a></p>' ;;
    *) link='index.html">k0rdent-airgap</a></p>' ;;
    esac
    grep -qF "<p><a href=\"$link" "$page"
    # No page of ours is linked on the web, and no link leads out of the site.
    grep -oE '(href|src)="[^"#]+' "$page" | cut -d'"' -f2 | sort -u >links
    while IFS= read -r link; do
      case $link in
      https://man7.org/*) [ ! -e "$ROOT/man/$(basename "$link" .html)" ] ;;
      https://* | data:*) ;;
      *) echo "$page: $link"
        link=$(realpath "$(dirname "$page")/$link")
        [[ -e $link && $link == "$PWD/docs/"* ]] ;;
      esac
    done <links
  done <pages
}

@test "docs: the manual pages in Markdown are up to date" {
  need mandoc
  "$ROOT/packaging/man.sh" rendered
  diff -ru "$ROOT/docs/man" rendered || { echo 'make man renders them again'; false; }
  run -0 cat rendered/bundle-ls.1.md
  [[ $output == *'[oci-push(1)](oci-push.1.md)'* ]]
}

@test "docs: relative links in Markdown files are not broken" {
  local file link
  (cd "$ROOT" && find . -name '*.md' ! -path './.cache/*' ! -path '*/testdata/*' ! -path './dist/*') >files
  [ "$(wc -l <files)" -gt 30 ]
  while read -r file; do
    { grep -oE '\]\([^)# ]+' "$ROOT/$file" || true; } | cut -c3- | grep -v ':' >links || true
    while read -r link; do
      [ -e "$ROOT/$(dirname "$file")/$link" ] || { echo "$file: $link"; false; }
    done <links
  done <files
}

@test "docs: the tools accept the examples" {
  local tool
  hosts
  export MEDIA=$BATS_TEST_TMPDIR/media
  mkdir -p "$MEDIA/bin"
  for tool in $(tools); do cp "$ROOT/bin/$tool" "$MEDIA/bin/"; done
  cp -r "$ROOT"/{install.sh,download.sh,lib/install,lib/systemd,docs/examples} "$MEDIA"
  mkk0s --claim v1.32.8+k0s.0 --out k0s
  mkbundle --archives 226 --k0s k0s --out "$MEDIA/airgap-bundle-1.2.3.tar.gz"
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out "$MEDIA/cosign.pub" 2>/dev/null
  openssl dgst -sha256 -sign key.pem -out "$MEDIA/airgap-bundle-1.2.3.tar.gz.sig" "$MEDIA/airgap-bundle-1.2.3.tar.gz"
  there=(PATH=/media/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin K0S_ROOT=/ K0S_LOG=/root/k0s.log)
  host a
  address a 10.0.0.5/24
  on a sh -euc 'ca=/var/lib/k0rdentd/registry/tls/ca.pem
    mkdir -p /var/lib/k0rdentd/registry /etc/k0rdentd
    oci-serve --tls auto --storage /var/lib/k0rdentd/registry >serve.json 2>serve.err &
    until [ -s serve.json ]; do kill -0 $!; done
    oci-push --to 127.0.0.1:5000/k0rdent-enterprise --ca $ca --quiet /media/airgap-bundle-1.2.3.tar.gz >pushed
    k0s-extract --quiet /media/airgap-bundle-1.2.3.tar.gz
    k0s-mirror-config --mirror https://10.0.0.5:5000/k0rdent-enterprise --ca $ca --quiet
    cp /media/examples/k0rdentd.yaml /etc/k0rdentd/' >/dev/null
  # The configuration file and the values.
  on a sh -c 'k0s-up --plan <pushed | k0rdent-install --values /media/examples/values.yaml --plan' >plan 2>err || { cat err; false; }
  same 'preflight unchanged;preflight unchanged' "$(jq -r 'select(.name == "preflight") | "\(.name) \(.status)"' plan | paste -sd';')"
  grep -qF 'k0rdent-enterprise 1.2.3' plan
  grep -qx 'values:   globalRegistry: 10.0.0.5:5000/k0rdent-enterprise' err
  grep -qx 'values:   defaultHelmTimeout: 30m' err
  [ "$(grep -A 1 -x 'values:   velero:' err | tail -n 1)" = 'values:     enabled: false' ]

  # Harbor: a plan.
  on a sh -euc 'cp /var/lib/k0rdentd/registry/tls/ca.pem site-ca.pem; echo secret >harbor.password; chmod 600 harbor.password'
  run -0 on a sh -c 'cd /media && sh examples/harbor.sh --plan'
  [[ $output == *"oci-push --to 'harbor.site.example/k0rdent-enterprise'"* || $output == *'--to harbor.site.example/k0rdent-enterprise'* ]]

  # The CI job's script; tests/lint.sh checks its form.
  serve
  sed -n '/^ *run: |$/,$s/^          //p' "$ROOT/docs/examples/ci.yml" >script
  [ -s script ]
  BUNDLE=$MEDIA/airgap-bundle-1.2.3.tar.gz KEY=$MEDIA/cosign.pub REGISTRY=$registry GITHUB_STEP_SUMMARY=$PWD/summary bash -e script
  grep -q '"version":"1.2.3"' summary
  grep -q 'k0rdent-enterprise:1.2.3' <(published | tr ' ' :)
  # A bundle that is not the signed one is not published.
  (cat "$MEDIA/airgap-bundle-1.2.3.tar.gz"; echo x) >changed.tar.gz
  cp "$MEDIA/airgap-bundle-1.2.3.tar.gz.sig" changed.tar.gz.sig
  run ! env BUNDLE="$PWD/changed.tar.gz" KEY="$MEDIA/cosign.pub" REGISTRY="$registry/changed" bash -e script
  run ! grep changed <(published)
}

@test "docs: quotation marks in the manual pages are balanced" {
  local page
  need mandoc
  for page in "$ROOT"/man/*.[1-9]; do
    echo "$page"
    mandoc -Tutf8 "$page" | { grep -oe '“' -e '”' || true; } | uniq -c >marks
    # They alternate, and the last one closes.
    run ! grep -v '^ *1 ' marks
    case $(tail -n 1 marks) in '' | *'”') ;; *) false ;; esac
  done
}

@test "docs: the pictures look right without CSS variables and animation" {
  # Programs that ignore @supports use plain colours.
  sed '/^@supports/,/^}/d; /^svg {/d; /^@media/d' "$ROOT/docs/pipeline.svg" >plain
  run ! grep 'var(' plain
  grep -q 'rect { fill: #' plain
  # The frame without animation is the last one.
  grep -qF "100.000%{transform:translateY($(sed -n 's/.*<g id="screen_view" transform="translate(0 \(-*[0-9]*\))">.*/\1/p' "$ROOT/docs/demo.svg")px)}" "$ROOT/docs/demo.svg"
  grep -q 'prefers-reduced-motion: reduce' "$ROOT/docs/demo.svg"
}

# usage COMMAND…: its help has a synopsis, then an example, in 80 columns.
usage() {
  local name
  echo "$*"
  run -0 "$@"
  run ! grep -E '.{81}' <<<"$output"
  run -0 "$@"
  name=${output#usage: }
  name=${name%% *}
  [[ $output == "usage: $name "* ]]
  awk -v RS= 'NR == 2' <<<"$output" | grep -qE "^  $name [^[]+$"
}

@test "docs: the help of the scripts and of make fits 80 columns and starts with an example" {
  usage sh "$ROOT/install.sh" --help
  usage sh "$ROOT/install.sh" -h
  usage sh "$ROOT/download.sh" --help
  usage make -s -C "$ROOT" help
}

@test "docs: the scripts print the version of the tools, or which tool is missing" {
  local bare=/usr/bin:/bin script
  cp "$ROOT"/{install.sh,download.sh} .
  for script in install.sh download.sh; do
    run -0 env PATH="$ROOT/bin:$PATH" sh $script --version
    [[ $output == "$script "* ]]
  done
  ! PATH=$bare:/usr/local/bin command -v bundle-verify oci-push || skip 'the tools are installed on this machine'
  for script in install.sh download.sh; do
    run -1 env PATH=$bare sh $script --version
    [[ $output == "$script: "*' is missing'* ]]
  done
}

@test "docs: make help names every target" {
  local target targets
  run -0 make -s -C "$ROOT" help
  read -ra targets < <(sed -n '/^\.PHONY: help /s/^\.PHONY: //p' "$ROOT/Makefile")
  for target in "${targets[@]}"; do
    grep -q "^  make $target " <<<"$output"
  done
  run ! grep -E '.{81}' <<<"$output"
}

@test "docs: a release build prints its version" {
  eval "$(make -s -n -C "$ROOT" build TOOLS=bundle-ls RELEASE=v9.8.7 | sed "s,bin/ ,$PWD/bin/ ,; s,^,cd '$ROOT'; ,")"
  run -0 "$BATS_TEST_TMPDIR/bin/bundle-ls" --version
  [[ $output == 'bundle-ls v9.8.7 '* ]]
}

# clone: a copy of the tree, as the only commit of a repository of its own.
clone() {
  mkdir clone
  tar -C "$ROOT" --exclude-vcs --exclude=./{.cache,bin,dist,cmd/k0s-extract/embedded} -c . | tar -x -C clone
  cp "$ROOT/.gitignore" clone/
  git -C clone init -q
  git -C clone add .
  git -C clone -c user.name=test -c user.email=test@example.com -c commit.gpgsign=false commit -q -m test
}

@test "docs: a build of a clone prints its commit, even with -buildvcs=false" {
  local commit
  need git
  clone
  commit=$(git -C clone rev-parse --short=12 HEAD)
  GOFLAGS="${GOFLAGS-} -buildvcs=false" make -s -C clone build TOOLS=bundle-ls
  run -0 clone/bin/bundle-ls --version
  [[ $output == "bundle-ls devel $commit go"* ]]
  [ "$(ls clone/bin)" = bundle-ls ]
  # With it, the pseudo-version would repeat the commit and its date.
  GOFLAGS="${GOFLAGS-} -buildvcs=true" make -s -C clone build TOOLS=bundle-ls
  run -0 clone/bin/bundle-ls --version
  [[ $output == "bundle-ls devel $commit go"* ]]
  echo >>clone/README.md
  GOFLAGS="${GOFLAGS-} -buildvcs=false" make -s -C clone build TOOLS=bundle-ls
  run -0 clone/bin/bundle-ls --version
  [[ $output == "bundle-ls devel $commit-dirty go"* ]]
}

@test "docs: make module renames the module, and go install finds it there" {
  local module=example.org/site/k0rdent-airgap version=v1.8.7 at dir
  need git bsdtar
  clone
  run -2 make -s -C clone module MODULE=k0rdent-airgap
  [[ $output == *'must be a host and a path'* ]]
  make -s -C clone module MODULE=$module
  same '' "$(gofmt -l clone/cmd clone/lib clone/tests clone/packaging)"
  go -C clone vet ./...
  for dir in packaging tests/browser tests/cluster tests/containerd tests/interop; do
    run -0 go -C clone/$dir list -deps -test ./...
    [[ $'\n'$output != *$'\n'k0rdent-airgap/* ]]
  done

  # Published, as a zip in a proxy, of a tree that is not a module.
  at=$PWD/proxy/$module/@v
  mkdir -p "$at" "zip/$module@$version"
  cp -r clone/{go.mod,go.sum,LICENSE,cmd,lib} "zip/$module@$version/"
  bsdtar -C zip --format zip -cf "$at/$version.zip" "$module@$version"
  cp clone/go.mod "$at/$version.mod"
  echo "{\"Version\":\"$version\"}" >"$at/$version.info"
  echo $version >"$at/list"
  GOPROXY=file://$PWD/proxy,file://$(go env GOMODCACHE)/cache/download GOSUMDB=off GOFLAGS=-modcacherw \
    GOMODCACHE=$PWD/modules GOBIN=$PWD/installed go install "$module/cmd/bundle-ls@$version"
  run -0 installed/bundle-ls --version
  [[ $output == "bundle-ls $version go"* ]]
}

# typed: the headings and commands of a demo, with ports masked.
typed() { grep -E '^(#|\$) .' | sed -E 's/localhost:[0-9]+/localhost/g; s/ +$//' | sort -u; }

@test "docs: the demo ends well, leaves nothing, and is what the recording shows" {
  need openssl script
  mkdir tmp
  export TMPDIR=$PWD/tmp DEMO_SIZE=20MiB
  script -qec "stty cols 102; exec make -s -C '$ROOT' demo </dev/null" /dev/null </dev/null >raw 2>&1 || { cat raw; false; }
  sed -E 's/\x1b\[[0-9;?]*[a-zA-Z]//g; s/\r+$//; s/.*\r//' raw >shown
  run -0 cat shown
  [[ $output == *'good: bundle.tgz '*$'\n''k0rdent-enterprise 1.2.3'*REFERENCE*' images are in the registry; '*' 2 skipped; '*' ok, '*'Next: docs/tutorial.md'* ]]
  [ -z "$(ls -A tmp)" ]
  # The recording has a group for each line that was ever on its screen.
  sed 's,<g id=,\n&,g; s,</g>,\n,g' "$ROOT/docs/demo.svg" |
    sed -n '/^<g id=/{s,<[^>]*>,,g; s,&gt;,>,g; s,&lt;,<,g; s,&quot;,",g; s,&#[x0-9]*27;,'\'',g; s,&#39;,'\'',g; s,&amp;,\&,g; p}' >recorded
  [ "$(typed <recorded | wc -l)" -ge 10 ]
  diff <(typed <shown) <(typed <recorded) || { echo 'make recording renews docs/demo.svg'; false; }
}
