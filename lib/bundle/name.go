package bundle

import (
	"crypto/sha256"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName is the longest entry name accepted, in bytes. Linux allows
	// 4096 for a path; the vendor's names stay under 120.
	maxName = 1024
	// maxEntries bounds the names held for a hostile archive of empty files
	// (16 bytes each). The vendor's bundles have about 230.
	maxEntries = 1 << 17
)

// cleanName checks an entry's name and returns it relative, slash-separated,
// without "./" and doubled slashes. Nothing is ever written under that name,
// but it becomes a repository, a line on a terminal and a field of a record.
// The bundle's own top directory is ".".
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
	case strings.Contains(name, `\`):
		return "", entryError(name, "create the archive with a program that writes / between directories, such as tar", "backslash in name")
	case len(name) > 1 && name[1] == ':' && (len(name) == 2 || name[2] == '/'):
		return "", entryError(name, "create the archive from within the directory", "drive letter in name")
	case strings.HasPrefix(name, "/"):
		return "", entryError(name, "create the tar with tar -C DIR -cf FILE . and without -P", "absolute name")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", entryError(name, "", "name points outside the bundle")
		}
	}
	return path.Clean(name), nil
}

// names is the set of names returned so far, in 16 bytes each.
type names map[[16]byte]struct{}

// add refuses a duplicate name: both entries would be pushed under one
// reference, and their order would decide which of them wins.
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
