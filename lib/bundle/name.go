package bundle

import (
	"crypto/sha256"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName is the longest entry name taken, in bytes. Linux allows 4096
	// for a path; the vendor's names stay under 120.
	maxName = 1024
	// maxEntries bounds what a hostile archive of empty files can make us
	// remember (16 bytes each). The vendor's bundles have some 230.
	maxEntries = 1 << 17
)

// cleanName checks an entry's name and returns it relative, slash-separated,
// without "./" and doubled slashes. Nothing is ever written under that name,
// but it becomes a repository, a line on a terminal and a field of a record.
// The bundle's own top directory gives ".".
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", entryError(name, "", "empty name")
	case len(name) > maxName:
		return "", entryError(name[:64]+"…", "", "name longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return "", entryError(name, "", "name is not UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", entryError(name, "", "control character in name")
	case strings.HasPrefix(name, "/"):
		return "", entryError(name, "make the tar with -C DIR and . for what is in it, without -P", "absolute name")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", entryError(name, "", "name leads out of the bundle")
		}
	}
	return path.Clean(name), nil
}

// names remembers which names have been given out, in 16 bytes each.
type names map[[16]byte]struct{}

// add refuses a name that was there before: the two would be pushed under one
// reference, and which of them wins would depend on their order.
func (n names) add(name string) error {
	sum := sha256.Sum256([]byte(name))
	key := [16]byte(sum[:16])
	if _, dup := n[key]; dup {
		return entryError(name, "", "occurs twice")
	}
	if len(n) >= maxEntries {
		return formatError("more than %d entries", maxEntries)
	}
	n[key] = struct{}{}
	return nil
}
