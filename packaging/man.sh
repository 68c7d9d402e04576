#!/usr/bin/env bash
# Renders the manual pages as Markdown into the directory OUT, with links between
# them, for code hosts, which show mdoc as it is.
set -euo pipefail
command -v mandoc >/dev/null || { echo 'man: mandoc is not installed' >&2; exit 1; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../man"
pages=(*.[1-9])
# NAME(SECTION) of a page of ours becomes a link, but not in literal text, which
# has a tab as the items of lists do: there a reference has a line of its own.
links=
for page in "${pages[@]}"; do
  name="(${page%.*}\(${page##*.}\))"
  links+="/^\t/!s,(^|[^][A-Za-z0-9*_-])$name,\1[\2]($page.md),g; s,^(\t+)$name([.\,;:)]*)$,\1[\2]($page.md)\3,; "
done
rm -f "$out"/*.md
for page in "${pages[@]}"; do
  mandoc -T markdown -W warning,stop "$page" | sed -E "$links" >"$out/$page.md"
done
