#!/usr/bin/env bash
# Renders the manual pages as HTML into DIST/docs (default dist/docs), with an
# index. Pages that are not ours are linked where they can be read on the web.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${DIST:-dist}/docs
rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
cp packaging/docs.css "$out/style.css"
cp docs/pipeline.svg "$out"
cd man

# page NAME.SECTION: mandoc takes for ours what is in the current directory.
page() {
  mandoc -T html -W warning,stop \
    -O "style=style.css,toc,man=%N.%S.html;https://man7.org/linux/man-pages/man%S/%N.%S.html" "$1" |
    sed 's,^<body>$,&\n<p><a href="index.html">k0rdent-airgap</a></p>,' >"$out/$1.html"
}

# entry NAME.SECTION: its line of the index.
entry() {
  printf '<tr><td><a href="%s.html">%s(%s)</a></td><td>%s</td></tr>\n' "$1" "${1%.*}" "${1##*.}" \
    "$(sed -n 's/^\.Nd //p' "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g')"
}

pages=(*.[1-9])
for name in "${pages[@]}"; do page "$name"; done
{
  cat <<'H'
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1.0"/>
<link rel="stylesheet" href="style.css" type="text/css"/>
<title>k0rdent-airgap</title>
</head>
<body>
<h1>k0rdent-airgap</h1>
<p>Small tools that bring a k0rdent Enterprise bundle into a site without internet.</p>
<p>On a site, one command does it all: <code>install.sh --bundle FILE --key FILE</code>.
The guide, <a href="k0rdent-airgap.7.html">k0rdent-airgap(7)</a>, tells what it does.</p>
<p><img src="pipeline.svg" alt="How the tools are joined"/></p>
<table class="index">
H
  # The guide first, then the tools, then the rest.
  for section in 7 1 8 5; do
    for name in "${pages[@]}"; do [ "${name##*.}" != $section ] || entry "$name"; done
  done
  printf '</table>\n</body>\n</html>\n'
} >"$out/index.html"
