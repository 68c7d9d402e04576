#!/usr/bin/env bash
# Records `make demo` as it runs here into docs/demo.svg, an animation that the README
# shows. Needs asciinema, termtosvg and jq, which Debian has under these names.
set -euo pipefail
cd "$(dirname "$0")/../.."
make -s build
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
TERM=xterm asciinema rec -q --cols 100 --rows 32 -c 'make -s demo' "$work/as-run.cast" </dev/null

# As it ran, but each heading waits long enough to read what is above it.
# Each event is [seconds since the start, "o", text].
jq -c -s '.[0], foreach .[1:][] as [$at, $type, $text] (
    {now: 0, at: 0};
    {now: (.now + (if $text | test("^(\r\n)?# ") then 2 else [$at - .at, 0.5] | min end)), $at};
    [.now, $type, $text])' "$work/as-run.cast" >"$work/demo.cast"
termtosvg render --loop-delay 5000 --template gjm8 "$work/demo.cast" "$work/demo.svg" >/dev/null
# If animation is off, in print or by the reader's preference, show the last frame.
last=$(sed -n 's/^100\.000%{transform:translateY(\(-*[0-9]*\)px)}$/\1/p' "$work/demo.svg")
sed -e "s/<g id=\"screen_view\">/<g id=\"screen_view\" transform=\"translate(0 $last)\">/" \
  -e 's/^\( *\)\]\]><\/style>/\1@media (prefers-reduced-motion: reduce) { #screen_view { animation: none; } }\n&/' "$work/demo.svg" >docs/demo.svg
ls -l docs/demo.svg
