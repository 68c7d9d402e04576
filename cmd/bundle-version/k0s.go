package main

import (
	"slices"

	"k0rdent-airgap/lib/k0s"
)

// newestFirst returns the distinct k0s versions that tags of its image
// represent. A tag that is not a version, such as "latest", is ignored.
func newestFirst(tags []string) []string {
	var versions []k0s.Version
	for _, tag := range tags {
		if v, err := k0s.ParseVersion(tag); err == nil {
			versions = append(versions, v)
		}
	}
	slices.SortFunc(versions, func(a, b k0s.Version) int { return b.Compare(a) })
	var names []string
	for _, v := range slices.Compact(versions) {
		names = append(names, v.String())
	}
	return names
}
