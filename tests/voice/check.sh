#!/usr/bin/env bash
# Finds phrases that the project no longer uses, as listed in patterns, in
# everything except the paths in pending, which may only become fewer. Each
# pattern must find its own bad sentence. Prints what it finds.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/voice
list=$(mktemp)
trap 'rm -f "$list" "$list.new"' EXIT

mapfile -t pending < <(grep -v '^#' $here/pending)
# The number of pending paths may be lowered, never raised.
[ ${#pending[@]} -le 0 ] || echo "$here/pending: ${#pending[@]} paths, more than before"
# The bytes of tests/k0s/k0s are part of the sample bundles, and so of golden files.
find cmd lib man completions packaging tests .github docs \
  README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md install.sh download.sh Makefile \
  -type f ! -path '*/testdata/*' ! -path '*/.git/*' ! -path "$here/*" ! -path tests/k0s/k0s ! -name go.sum | sort >"$list"

for path in "${pending[@]}"; do
  [ -e "$path" ] || echo "$here/pending: $path does not exist"
  grep -vxF -e "$path" "$list" | grep -v "^$path/" >"$list.new" || true
  mv "$list.new" "$list"
done

while IFS=$'\t' read -r where regex sentence; do
  case $where in '' | '#'*) continue ;; esac
  grep -qP -- "$regex" <<<"$sentence" || echo "$here/patterns: $regex does not find: $sentence"
  case $where in
    doc) grep '\.go$' "$list" | xargs grep -nP -- "$regex" || true ;;
    any) xargs grep -nP -- "$regex" <"$list" || true ;;
    *) echo "$here/patterns: unknown scope: $where" ;;
  esac
done <$here/patterns
