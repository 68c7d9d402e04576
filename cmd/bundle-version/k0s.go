package main

import "k0rdent-airgap/lib/k0s"

// newestFirst returns the distinct k0s versions that tags of its image
// represent. A tag that is not a version, such as "latest", is ignored.
func newestFirst(tags []string) []string {
	var versions []k0s.Version
	for _, tag := range tags {
		if v, err := k0s.ParseVersion(tag); err == nil {
			versions = append(versions, v)
		}
	}
	return k0s.NewestFirst(versions)
}
