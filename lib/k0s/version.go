// Package k0s covers what differs between k0s versions, the configuration that
// makes the containerd inside k0s pull from mirrors, join tokens, and the k0s
// binary and its service on a host.
//
// Versions and files are pure functions over data; only Binary runs anything. TOML
// is parsed back with github.com/pelletier/go-toml/v2 before it leaves this
// package, because containerd does not fail on a file that it cannot decode: it
// pulls from the public registry.
package k0s

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Version is a version of k0s, such as v1.32.8+k0s.0: a Kubernetes version and the
// build of k0s for it.
type Version struct {
	Major, Minor, Patch int
	Pre                 string // "rc.1" of v1.35.1-rc.1+k0s.0
	Build               string // "0" of +k0s.0; may be empty
}

// versionPattern matches k0s's own version and the tag of its image, which cannot
// have a plus sign.
var versionPattern = regexp.MustCompile(`^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:-([0-9A-Za-z.-]+?))??(?:[+-]k0s\.([0-9A-Za-z.-]+))?$`)

// ParseVersion parses v1.32.8+k0s.0, the tag v1.32.8-k0s.0, and both without the
// "v" or without the build.
func ParseVersion(s string) (Version, error) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("%.80q is not a k0s version such as v1.32.8+k0s.0", s)
	}
	v := Version{Pre: m[4], Build: m[5]}
	for i, n := range []*int{&v.Major, &v.Minor, &v.Patch} {
		*n, _ = strconv.Atoi(m[i+1]) // six digits at most
	}
	return v, nil
}

// VersionFlag is ParseVersion for the value of a flag.
func VersionFlag(s string) (*Version, error) {
	v, err := ParseVersion(s)
	if err != nil {
		return nil, errors.New("must be a version such as v1.32.8+k0s.0")
	}
	return &v, nil
}

// String returns the version as k0s prints it.
func (v Version) String() string { return v.with("+") }

// Tag returns the tag of the image k0sproject/k0s for the version.
func (v Version) Tag() string { return v.with("-") }

func (v Version) with(separator string) string {
	s := fmt.Sprintf("v%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		s += "-" + v.Pre
	}
	if v.Build != "" {
		s += separator + "k0s." + v.Build
	}
	return s
}

// FileName returns the name under which child clusters download this version
// for an architecture, such as k0s-v1.32.8+k0s.0-amd64.
func (v Version) FileName(arch string) string { return "k0s-" + v.String() + "-" + arch }

// Compare orders versions as v1.35.1-rc.1+k0s.0 < v1.35.1+k0s.0 < v1.35.1+k0s.1: by
// semantic versioning, then by the build, which semantic versioning ignores.
func (v Version) Compare(w Version) int {
	byPre := compareParts(v.Pre, w.Pre)
	if (v.Pre == "") != (w.Pre == "") {
		byPre = -byPre // a release comes after its candidates
	}
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch),
		byPre, compareParts(v.Build, w.Build))
}

// NewestFirst returns the distinct versions as k0s prints them, the newest first.
func NewestFirst(versions []Version) []string {
	var names []string
	for _, v := range slices.SortedFunc(slices.Values(versions), func(a, b Version) int { return b.Compare(a) }) {
		names = append(names, v.String())
	}
	return slices.Compact(names)
}

// compareParts compares dotted parts, numbers as numbers and below words.
func compareParts(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(a, b string) int {
		n, errA := strconv.ParseUint(a, 10, 64)
		m, errB := strconv.ParseUint(b, 10, 64)
		switch {
		case errA == nil && errB == nil:
			return cmp.Compare(n, m)
		case errA == nil && b != "":
			return -1
		case errB == nil && a != "":
			return 1
		}
		return cmp.Compare(a, b)
	})
}

// dropIns is the first version in which drop-ins can set mirrors: earlier ones
// append drop-ins to their own settings in one file, in which a table must not
// occur twice.
var dropIns = Version{Major: 1, Minor: 27, Patch: 5}

// DropIns reports whether drop-ins for containerd work in this version.
func (v Version) DropIns() bool { return v.Compare(dropIns) >= 0 }

// Containerd returns the major version of the containerd in k0s: 1 up to k0s 1.35,
// 2 from 1.36 on. It determines the form of a drop-in; each fails on the other's.
func (v Version) Containerd() int {
	if v.Major > 1 || v.Minor >= 36 {
		return 2
	}
	return 1
}

// Kubernetes returns the version of Kubernetes in a k0s version, such as v1.32.8.
func (v Version) Kubernetes() string { return fmt.Sprintf("v%d.%d.%d", v.Major, v.Minor, v.Patch) }
