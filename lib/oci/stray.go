package oci

import (
	"errors"
	"path"
	"strings"

	"k0rdent-airgap/lib/ref"
)

// Stray reports whether an entry that is not an OCI archive, for the reason
// err, can safely be left out: documentation, files that macOS adds, and the
// vendor's copy of skopeo, which is for the host and not for the registry.
// Archives of another kind, and anything named like an image, were meant to be
// pushed.
func Stray(entry string, err error) bool {
	base := path.Base(entry)
	switch {
	case errors.Is(err, ErrDockerArchive):
		return strings.HasPrefix(base, "skopeo")
	case errors.Is(err, ErrNotArchive):
		return base[0] == '.' || strings.HasPrefix(entry, "__MACOSX/") || !ref.IsImage(entry)
	}
	return false
}

// Remedy returns a hint for an error of this package, or "".
func Remedy(err error) string {
	if e, ok := errors.AsType[*packedError](err); ok && e.packing.Name != "" {
		return "unpack the entry into a directory as REPOSITORY_TAG.tar (" + e.packing.Unpack("ENTRY") + "), and push that directory"
	}
	switch {
	case errors.Is(err, ErrDockerArchive):
		return "convert it: skopeo copy docker-archive:FILE oci-archive:REPOSITORY_TAG.tar:TAG"
	case errors.Is(err, ErrChartPackage):
		return "push it with helm push FILE oci://REGISTRY/charts"
	case errors.Is(err, ErrNames):
		return "save each image to its own archive, named REPOSITORY_TAG.tar"
	}
	return ""
}
