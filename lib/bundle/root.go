package bundle

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// layout finds the bundle's root. Archives have their members at the top (as
// the vendor's do, with or without `./`) or below a directory such as
// srv/airgap-bundle-1.2.3. The root is where the product's chart is:
// charts/k0rdent-enterprise_<V>.tar.
type layout struct {
	base    string   // the bundle's file name without its extensions
	roots   []string // directories that hold the product's chart, "" for the top level
	charts  []string // directories that contain a directory named charts
	named   string   // a directory with the name of a bundle
	top     string   // the directory at the top
	more    bool     // there is more than one, or an archive next to it
	decided bool
	root    string // "" or the directory to strip
}

func newLayout(file string) *layout { return &layout{base: BaseName(file)} }

// BaseName returns the name of a bundle's file without its directory and endings.
func BaseName(file string) string {
	base := filepath.Base(file)
	for _, ext := range []string{".gz", ".zst", ".tgz", ".tar"} {
		base = strings.TrimSuffix(base, ext)
	}
	return base
}

// see records a clean name. Once the root is decided, a name that contradicts
// the decision is an ErrLayout: names returned before it would have been wrong.
func (l *layout) see(name string, dir bool) error {
	if name == "." {
		return nil
	}
	parts := strings.Split(name, "/")
	if !dir {
		parts = parts[:len(parts)-1]
	}
	switch {
	case len(parts) == 0:
		l.more = l.more || strings.HasSuffix(name, ".tar")
		return nil
	case l.top == "":
		l.top = parts[0]
	}
	l.more = l.more || l.top != parts[0]
	for i, part := range parts {
		if part == "charts" {
			l.charts = note(l.charts, strings.Join(parts[:i], "/"))
			break
		}
		if l.named == "" && (part == l.base || strings.HasPrefix(part, vendorName)) {
			l.named = strings.Join(parts[:i+1], "/")
		}
	}
	if !isProductChart(name) {
		return nil
	}
	root := strings.Join(parts[:len(parts)-1], "/")
	l.roots = note(l.roots, root)
	if l.decided && root != l.root {
		return layoutError("entry %s: the bundle's files are %s, but earlier entries were read as being %s", name, where(root), where(l.root))
	}
	return nil
}

// vendorName is the prefix of the directory that the vendor's guide unpacks to.
const vendorName = "airgap-bundle"

// note adds a directory to a list of distinct ones, of which it keeps three.
func note(all []string, dir string) []string {
	if len(all) < 3 && !slices.Contains(all, dir) {
		return append(all, dir)
	}
	return all
}

func where(root string) string {
	if root == "" {
		return "at the top level"
	}
	return "below " + root + "/"
}

// settled reports whether the names so far are enough to decide.
func (l *layout) settled() bool {
	return l.more || len(l.roots)+len(l.charts) > 0 || strings.HasPrefix(path.Base(l.named), vendorName)
}

// decide sets the root by the names so far.
func (l *layout) decide() error {
	if l.decided {
		return nil
	}
	l.decided = true
	switch {
	case len(l.roots) == 1:
		l.root = l.roots[0]
	case len(l.roots) > 1:
		var all []string
		for _, root := range l.roots {
			all = append(all, where(root))
		}
		return layoutError("several bundles in one: %s", strings.Join(all, ", "))
	case l.more: // the vendor's own layout
	case len(l.charts) > 0:
		l.root = l.charts[0]
	default:
		l.root = l.named
	}
	return nil
}

// strip returns name relative to the root. A name outside the root is returned
// as it is.
func (l *layout) strip(name string) string {
	if l.root == "" {
		return name
	}
	return strings.TrimPrefix(name, l.root+"/")
}

// isProductChart reports whether name is that of the product's chart, in any
// directory. Both separators occur in the wild.
func isProductChart(name string) bool {
	dir, file := path.Split(name)
	rest, ok := strings.CutPrefix(file, "k0rdent-enterprise")
	return ok && path.Base(dir) == "charts" && len(rest) > 1 && (rest[0] == '_' || rest[0] == ':')
}
