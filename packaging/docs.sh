#!/usr/bin/env bash
# Renders the documentation as HTML into DIST/docs (default dist/docs): an index,
# the manual pages, and everything below docs/ that is Markdown. Manual pages of
# others are linked to the web.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v mandoc >/dev/null || { echo 'docs: mandoc is not installed' >&2; exit 1; }
out=${DIST:-dist}/docs
rm -rf "$out"
mkdir -p "$out"/{decisions,examples}
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go -C packaging build -o "$work/" ./page
cp packaging/docs.css "$out/style.css"
cp docs/{pipeline.svg,demo.svg,page.png} "$out"
cp docs/examples/* "$out/examples"
rm "$out/examples/README.md"

for file in docs/*.md docs/{decisions,examples}/*.md; do
  page=${file#docs/}
  case $page in */*) up=../ ;; *) up= ;; esac
  page=${page%.md}
  "$work/page" "$file" $up >"$out/${page/%README/index}.html"
done

# manual NAME.SECTION: mandoc looks for pages of ours in the current directory.
manual() {
  mandoc -T html -W warning,stop \
    -O "style=style.css,toc,man=%N.%S.html;https://man7.org/linux/man-pages/man%S/%N.%S.html" "$1" |
    sed 's|<head>|&\n<link rel="icon" href="data:,">|; s|^<body>$|&\n<p><a href="index.html">k0rdent-airgap</a></p>|' >"$out/$1.html"
}

# entry NAME.SECTION prints its row of the index.
entry() {
  printf '<tr><td><a href="%s.html">%s(%s)</a></td><td>%s</td></tr>\n' "$1" "${1%.*}" "${1##*.}" \
    "$(sed -n 's/^\.Nd //p' "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g')"
}

cd man
pages=(*.[1-9])
for name in "${pages[@]}"; do manual "$name"; done
{
  cat <<'H'
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="style.css">
<link rel="icon" href="data:,">
<title>k0rdent-airgap</title>
</head>
<body>
<h1>k0rdent-airgap</h1>
<p>Small tools that install k0rdent Enterprise from the vendor's bundle, on a site without internet.
One command does it all: <code>install.sh --bundle FILE --key FILE</code>.</p>
<ul>
<li><a href="tutorial.html">Tutorial</a>: from the demo on a laptop to a site of two hosts</li>
<li><a href="k0rdent-airgap.7.html">Guide</a>: installation, further hosts, upgrades, troubleshooting</li>
<li><a href="examples/index.html">Examples</a>: a configuration file, values, a site with Harbor, a CI job</li>
<li><a href="k0rdent-records.5.html">Records</a>: what the tools print, and how to use it in scripts</li>
<li><a href="decisions/index.html">Decisions</a>: why it is built like this</li>
</ul>
<p><a href="pipeline.svg"><img src="pipeline.svg" alt="The tools and the records that flow between them"></a></p>
<h2>Manual pages</h2>
<table class="index">
H
  # The guide first, then the tools, then the rest.
  for section in 7 1 8 5; do
    for name in "${pages[@]}"; do [ "${name##*.}" != $section ] || entry "$name"; done
  done
  printf '</table>\n</body>\n</html>\n'
} >"$out/index.html"
