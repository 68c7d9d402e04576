package main

import "regexp"

// k0sDir is what the names of k0s files begin with.
const k0sDir = "k0s/"

// k0sFolder returns the directory of k0s files.
func k0sFolder(dir string) *folder {
	return &folder{dir: dir, below: k0sDir, spellings: spellings}
}

// k0sName matches the names that are served: k0s, or the bundle of its images,
// of a version and for a platform, and what belongs to such a file, such as its
// signature. The version is k0s's own (v1.32.8+k0s.0, v1.33.0-rc.1+k0s.0),
// where k0rdent's templates and the vendor's pages do not agree on the sign
// between its parts, "+" or "-".
var k0sName = regexp.MustCompile(`^(k0s(?:-airgap-bundle)?-v?[0-9]+\.[0-9]+\.[0-9]+(?:-[a-z]+\.[0-9]+)?)[+-](k0s\.[0-9]+(?:\.[a-z0-9]+)*(?:-[a-z0-9_]+)+(?:\.[a-z0-9]+)*)$`)

// spellings returns the names under which the file that is asked for may lie, the
// one that was asked for first; none if no such file is ever offered.
func spellings(name string) []string {
	m := k0sName.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	plus, minus := m[1]+"+"+m[2], m[1]+"-"+m[2]
	if name == plus {
		return []string{plus, minus}
	}
	return []string{minus, plus}
}
