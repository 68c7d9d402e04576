package oci

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/record"
)

// Record returns the record of the image in an entry of a bundle, without its
// name, and with a warning if it is a sparse index.
func (i *Image) Record(bundle, entry string) record.Image {
	r := record.Image{
		Bundle: bundle, Entry: entry,
		Digest: i.Descriptor.Digest.String(), MediaType: string(i.Descriptor.MediaType),
		Type: i.Type, Size: i.Size, Blobs: len(i.Blobs), Platforms: i.Platforms,
	}
	if i.Subject != (v1.Hash{}) {
		r.Subject = i.Subject.String()
	}
	if c := i.Chart; c != nil {
		r.Chart = &record.Chart{Name: c.Name, Version: c.Version, AppVersion: c.AppVersion}
	}
	if lacks := i.MissingManifests(); len(lacks) > 0 {
		r.Warning = "the index is sparse: the archive lacks " + Count(lacks, "image")
	}
	return r
}

// Count describes how many descriptors there are and what they are, as far as
// that fits on a line: "2 images (linux/arm64, linux/s390x)".
func Count(all []v1.Descriptor, what string) string {
	names := make([]string, 0, len(all))
	for _, d := range all {
		name := d.Digest.String()
		if d.Platform != nil && d.Platform.OS != "" {
			name = d.Platform.String()
		}
		names = append(names, name)
	}
	if len(all) > 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s (%s)", len(all), what, few(names))
}

// few lists names as far as that fits on a line.
func few(names []string) string {
	if len(names) > 4 {
		names = append(names[:4], "…")
	}
	return strings.Join(names, ", ")
}
