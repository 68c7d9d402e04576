#!/usr/bin/env bats
# The completions, run in their shells.
# shellcheck disable=SC2153 # ROOT is set by setup_suite

load lib/helper

# valued TOOL: its flags with a value.
valued() { "$1" --help | sed -n 's/^ *\(--[a-z0-9-]*\) [A-Z].*/\1/p'; }

# offers SHELL: its completions for the command lines in the file "lines", in a
# directory with a file and another directory.
offers() {
  local shell=("$1")
  case $1 in
  fish) shell+=(--no-config) ;;
  zsh) shell+=(-f) ;;
  esac
  mkdir -p place/dir
  touch place/file.tgz
  ln -sfn "$SAMPLE/bundle" bundle
  # fish keeps its history in the home directory.
  (cd place && HOME=$PWD/.. "${shell[@]}" "$ROOT/tests/complete/complete.$1" "$ROOT/completions" <../lines) | sed 's,/$,,' | sort -u
}

@test "completions: every flag of every tool is offered, and nothing else" {
  local tool shell
  need bash zsh fish
  for tool in $(tools); do echo "$tool --"; done >lines
  for tool in $(tools); do "$tool" --help | grep -oE '^ +--[a-z0-9-]+' | sed "s/^ */$tool --\t/"; done | sort -u >flags
  for shell in bash fish zsh; do
    same "$(cat flags)" "$(offers $shell)"
  done
}

@test "completions: flags are offered after the argument too" {
  local tool shell
  need bash zsh fish
  for tool in bundle-verify bundle-version bundle-ls oci-push k0s-extract; do echo "$tool file.tgz --form"; done >lines
  for shell in bash fish zsh; do
    same "$(for tool in bundle-ls bundle-verify bundle-version k0s-extract oci-push; do printf '%s\t--format\n' "$tool file.tgz --form"; done)" "$(offers $shell)"
  done
}

@test "completions: the three shells offer the same values for every flag" {
  local tool flag
  need bash zsh fish
  for tool in $(tools); do
    for flag in $(valued "$tool"); do echo "$tool $flag "; done
  done >lines
  [ "$(wc -l <lines)" -ge 40 ]
  same "$(offers bash)" "$(offers fish)"
  same "$(offers bash)" "$(offers zsh)"
  # Every flag with known values, files or directories.
  for tool in $(tools); do
    for flag in $(valued "$tool"); do
      case $flag in
      --format) printf '%s\t%s\n' "$tool $flag " json "$tool $flag " table ;;
      --platform) printf '%s\t%s\n' "$tool $flag " linux/amd64 "$tool $flag " linux/arm64 ;;
      --config | --*-file | --ca) printf '%s\t%s\n' "$tool $flag " dir "$tool $flag " file.tgz ;;
      esac
    done
  done | sort -u >known
  same '' "$(offers bash | comm -13 - known)"
}

@test "completions: an alias for an image of the bundle" {
  local shell
  need bash zsh fish
  echo 'oci-push ../bundle --alias ' >lines
  for shell in bash fish zsh; do
    same "$(expected | sed 's,^\([^ ]*\) .*,oci-push ../bundle --alias \t\1=,' | sort -u)" "$(offers $shell)"
  done
  echo 'oci-push ../bundle --alias k0sproject/pa' >lines
  for shell in bash fish zsh; do
    [ "$(offers $shell | cut -f2)" = k0sproject/pause= ]
  done
}
