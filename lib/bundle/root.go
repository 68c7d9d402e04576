package bundle

import (
	"path"
	"strings"
)

// layout finds the bundle's root: archives are made with members at the top
// (the vendor's own, `./` or none) or below one top directory. The sure sign
// is the product's chart, charts/k0rdent-enterprise_<V>.tar.
type layout struct {
	base    string          // the bundle's file name without its extensions
	atTop   bool            // the product's chart was seen at the top
	below   []string        // top directories below which it was seen
	tops    map[string]bool // top directories; true: has a charts directory
	decided bool
	root    string // "" or the top directory to strip
}

func newLayout(file string) *layout {
	base := path.Base(file)
	for _, ext := range []string{".gz", ".zst", ".tgz", ".tar"} {
		base = strings.TrimSuffix(base, ext)
	}
	return &layout{base: base, tops: map[string]bool{}}
}

// see takes a clean name into account. Once the root is decided, a name that
// proves the decision wrong is an ErrLayout: names given out before it would
// have been wrong.
func (l *layout) see(name string, dir bool) error {
	top, rest, nested := strings.Cut(name, "/")
	if !nested && !dir || top == "." {
		return nil
	}
	charts := rest == "charts" && dir || strings.HasPrefix(rest, "charts/")
	l.tops[top] = l.tops[top] || charts
	switch {
	case isProductChart(name):
		l.atTop = true
		if l.decided && l.root != "" {
			return layoutError("entry %s: the bundle's files are at the top, but entries before it were taken to be below %s/", name, l.root)
		}
	case isProductChart(rest):
		l.below = append(l.below, top)
		if l.decided && l.root != top {
			return layoutError("entry %s: the bundle's files are below %s/, but entries before it were not", name, top)
		}
	}
	return nil
}

// decide settles the root by what has been seen so far.
func (l *layout) decide() error {
	if l.decided {
		return nil
	}
	l.decided = true
	switch {
	case l.atTop:
		return nil
	case len(l.below) == 1:
		l.root = l.below[0]
		return nil
	case len(l.below) > 1:
		return layoutError("several bundles in one: %s", strings.Join(l.below, ", "))
	case len(l.tops) == 1:
		for top, charts := range l.tops {
			if top != "charts" && (charts || top == l.base || strings.HasPrefix(top, "airgap-bundle")) {
				l.root = top
			}
		}
	}
	return nil
}

// strip returns name relative to the root. What lies outside the root keeps
// its whole name.
func (l *layout) strip(name string) string {
	if l.root == "" {
		return name
	}
	return strings.TrimPrefix(name, l.root+"/")
}

// isProductChart tells whether name is that of the product's chart, relative
// to the root. Both separators are seen in the wild.
func isProductChart(name string) bool {
	base, ok := strings.CutPrefix(name, "charts/k0rdent-enterprise")
	return ok && strings.HasSuffix(base, ".tar") && !strings.Contains(base, "/") &&
		(base[0] == '_' || base[0] == ':')
}
