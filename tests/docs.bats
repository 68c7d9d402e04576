#!/usr/bin/env bats
# What is written about the tools, tried.
# shellcheck disable=SC2154 # registry is set by serve, output and stderr by run

load lib/helper

# examples: the command lines of the README and the pages that need no more than
# a bundle and a registry on this host, as a person would copy them.
# shellcheck disable=SC2016 # backquotes of the README's fences
examples() {
  local page
  sed -n '/^```console/,/^```$/s/^\$ //p' "$ROOT/README.md"
  for page in "$ROOT"/man/*.[1-9]; do
    mandoc -Tascii -O width=300 "$page" | sed -n 's/.\x08//g; s/^ *\$ //p'
  done
}

@test "docs: the examples of the README and the pages run as they stand" {
  local line count=0
  need mandoc openssl
  serve
  ln -s "$SAMPLE/bundle.tgz" bundle.tgz
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out cosign.pub 2>/dev/null
  openssl dgst -sha256 -sign key.pem -out bundle.tgz.sig bundle.tgz
  examples | grep -E '^(bundle-|oci-push|echo )' | grep -v -e '\\$' -e '|$' -e '--to [^l]' >lines
  while IFS= read -r line; do
    echo "$line"
    count=$((count + 1))
    bash -c "set -o pipefail; ${line//localhost:5000/$registry}" </dev/null >out 2>err || { tail err; false; }
  done <lines
  [ $count -ge 12 ]
  # One example gives a second name.
  same "$({ expected; expected | sed -n 's,^k0sproject/coredns 1.12.2 ,coredns/coredns v1.12.2 ,p'; } | sort)" "$(published)"
}

@test "docs: completions parse in their shells and offer every flag" {
  local tool flags
  need bash zsh fish
  for tool in $(tools); do
    flags=$("$tool" --help | grep -oE '^ +--[a-z0-9-]+' | tr -d ' ' | sort -u)
    same "$flags" "$(bash -c "
      source '$ROOT/completions/$tool.bash'
      COMP_WORDS=($tool --) COMP_CWORD=1
      \$(complete -p $tool | grep -oE -- '-F [^ ]+' | cut -c4-)
      printf '%s\n' \"\${COMPREPLY[@]}\"" | sort -u)"
    same "$flags" "$(fish --no-config -c "source '$ROOT/completions/$tool.fish'; complete -C '$tool --'" | cut -f1 | sort -u)"
    zsh -n "$ROOT/completions/_$tool"
    [ "$(zsh -fc "fpath=('$ROOT/completions' \$fpath); autoload -U compinit; compinit -u -d '$PWD/dump'; print \$_comps[$tool]")" = "_$tool" ]
  done
}

@test "docs: make install puts tools, pages and completions under DESTDIR and PREFIX" {
  local tool
  make -s -C "$ROOT" install DESTDIR="$PWD/root" PREFIX=/opt/k0rdent >/dev/null
  for tool in $(tools); do
    root/opt/k0rdent/bin/"$tool" --version
    ls root/opt/k0rdent/share/man/man[18]/"$tool".[18]
    ls root/opt/k0rdent/share/bash-completion/completions/"$tool" root/opt/k0rdent/share/zsh/site-functions/_"$tool" \
      root/opt/k0rdent/share/fish/vendor_completions.d/"$tool".fish
  done
  [ "$(ls root/opt)" = k0rdent ]
}

@test "docs: make help names every target" {
  local target
  run -0 make -s -C "$ROOT" help
  for target in help build test lint demo bench fuzz conformance install clean; do
    grep -q "^  make $target " <<<"$output"
  done
}

@test "docs: a release build says its version" {
  eval "$(make -s -n -C "$ROOT" build RELEASE=v9.8.7 | sed "s,bin/ ,$PWD/bin/ ,; s,^,cd '$ROOT'; ,")"
  run -0 "$BATS_TEST_TMPDIR/bin/bundle-ls" --version
  [[ $output == 'bundle-ls v9.8.7 '* ]]
}

@test "docs: the demo ends well and leaves nothing" {
  run -0 make -s -C "$ROOT" demo
  [[ $output == *'"kind":"version"'*1.2.3* && $output == *' ok, '* ]]
}
