package main

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// k0sVersion turns a tag into the version that k0s itself tells: a tag cannot
// have the "+" of v1.32.8+k0s.0. A tag that is no version, such as "latest",
// gives "".
func k0sVersion(tag string) string {
	if len(tag) < 2 || tag[0] != 'v' || tag[1] < '0' || tag[1] > '9' {
		return ""
	}
	if i := strings.LastIndex(tag, "-k0s."); i >= 0 {
		return tag[:i] + "+" + tag[i+1:]
	}
	return tag
}

// newestFirst sorts k0s versions and drops doubles and empty ones.
func newestFirst(versions []string) []string {
	versions = slices.DeleteFunc(versions, func(v string) bool { return v == "" })
	slices.SortFunc(versions, func(a, b string) int { return compareK0s(b, a) })
	return slices.Compact(versions)
}

// compareK0s orders versions as v1.35.1-rc.1+k0s.0 < v1.35.1+k0s.0 <
// v1.35.1+k0s.1: by semantic versioning, then by k0s's own build number, which
// that leaves out. Versions that are equal so far are ordered as text.
func compareK0s(a, b string) int {
	coreA, preA, buildA := splitVersion(a)
	coreB, preB, buildB := splitVersion(b)
	byPre := compareParts(preA, preB)
	if (preA == "") != (preB == "") {
		byPre = -byPre // a release comes after its candidates
	}
	return cmp.Or(compareParts(coreA, coreB), byPre, compareParts(buildA, buildB), cmp.Compare(a, b))
}

func splitVersion(v string) (core, pre, build string) {
	v, build, _ = strings.Cut(strings.TrimPrefix(v, "v"), "+")
	core, pre, _ = strings.Cut(v, "-")
	return core, pre, build
}

// compareParts compares dotted parts, numbers as numbers and below words.
func compareParts(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(a, b string) int {
		n, errA := strconv.ParseUint(a, 10, 64)
		m, errB := strconv.ParseUint(b, 10, 64)
		switch {
		case errA == nil && errB == nil:
			return cmp.Compare(n, m)
		case errA == nil:
			return -1
		case errB == nil:
			return 1
		}
		return cmp.Compare(a, b)
	})
}
