#!/usr/bin/env bash
# Records `make demo` as it runs here to docs/demo.svg, an animation for the README.
# Needs asciinema, termtosvg and jq, which are Debian packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
TERM=xterm asciinema rec -q --cols 102 --rows 32 -c 'make -s demo </dev/null' "$work/as-run.cast"

# As it ran, except that each heading waits until what is above it has been read.
# Each event is [seconds since the start, "o", text].
jq -c -s '.[0], foreach .[1:][] as [$at, $type, $text] (
    {now: 0, at: 0};
    {now: (.now + (if $text | test("# ([A-Z])") then 2.5 else [$at - .at, 0.5] | min end)), $at};
    [.now, $type, $text])' "$work/as-run.cast" >"$work/demo.cast"
termtosvg render --loop-delay 6000 --min-frame-duration 100 --template window_frame "$work/demo.cast" "$work/demo.svg" >/dev/null
# Renderers without CSS need the baseline and the spaces of text as attributes.
# Without animation, as in print or if the reader prefers reduced motion, show the
# last frame.
last=$(sed -n 's/^100\.000%{transform:translateY(\(-*[0-9]*\)px)}$/\1/p' "$work/demo.svg")
sed -e 's/<text x=/<text y="13" x=/g; s/font-size: 14px/font-size: 13.3px/; /dominant-baseline/d; s/<svg /<svg xml:space="preserve" /' \
  -e "s/<g id=\"screen_view\">/<g id=\"screen_view\" transform=\"translate(0 $last)\">/" \
  -e 's/^\( *\)\]\]><\/style>/\1@media (prefers-reduced-motion: reduce) { #screen_view { animation: none; } }\n&/' "$work/demo.svg" >docs/demo.svg
ls -l docs/demo.svg
