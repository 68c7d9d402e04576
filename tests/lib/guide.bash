# guide SECTION N: the lines of an example of k0rdent-airgap(7), its N-th of a
# section, as a root would type them. $GUIDE is the page.
guide() {
  awk -v section="$1" -v wanted="$2" '
    /^\.S[hs] / { here = substr($0, 5); n = 0 }
    /^\.Ed/ { inside = 0 }
    inside && here == section && n == wanted {
      sub(/^# /, "")
      gsub(/\\e/, "\\")
      print
    }
    /^\.Bd -literal/ { inside = 1; n++ }' "$GUIDE"
}

# guided: the sections that have examples, and how many.
guided() {
  awk '/^\.S[hs] / { here = substr($0, 5) } /^\.Bd -literal/ { print here }' "$GUIDE" | uniq -c | sed 's/^ *//'
}
