package main

import (
	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// describe fills a record with what the archive says. One without a repository
// gets the name that the reference rules give.
func describe(rec *record.Image, path string, e *bundle.Entry, img *oci.Image) error {
	rec.Bundle, rec.Entry = path, e.Path
	rec.Digest = img.Descriptor.Digest.String()
	rec.MediaType = string(img.Descriptor.MediaType)
	rec.Type = img.Type
	rec.Size, rec.Blobs = img.Size, len(img.Blobs)
	rec.Platforms = img.Platforms
	said := ref.Said{Annotation: img.Annotation}
	if c := img.Chart; c != nil {
		rec.Chart = &record.Chart{Name: c.Name, Version: c.Version, AppVersion: c.AppVersion}
		said.Chart, said.Version = c.Name, c.Version
	}
	if rec.Repository != "" {
		return nil
	}
	r, warning, err := ref.Resolve(e.Path, said)
	rec.Repository, rec.Tag, rec.Warning = r.Repository, r.Tag, warning
	return err
}
