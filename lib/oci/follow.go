package oci

import (
	"bytes"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Fetch returns a manifest or another JSON blob, or nil if it does not exist.
// It need not check the digest.
type Fetch func(d v1.Descriptor, manifest bool) ([]byte, error)

// Follow returns the image that root leads to, with its JSON fetched rather
// than read from an archive; its blobs are assumed to exist. Errors are those
// of fetch, ErrInvalid and ErrDigest.
func Follow(root v1.Descriptor, fetch Fetch) (*Image, error) {
	g := &graph{image: &Image{Descriptor: root}, seen: map[v1.Hash]bool{}}
	g.load = func(d v1.Descriptor, manifest bool) ([]byte, error) {
		if d.Size < 0 || d.Size > maxJSON {
			return nil, tooLarge(d.Digest, d.Size)
		}
		raw, err := fetch(d, manifest)
		if raw == nil || err != nil {
			return nil, err
		}
		return readAll(Verify(bytes.NewReader(raw), d.Digest, d.Size), d.Size)
	}
	if err := g.manifest(root, 0); err != nil {
		return nil, err
	}
	if len(g.image.Manifests) == 0 {
		return nil, invalid("manifest %v does not exist", root.Digest)
	}
	g.image.Descriptor = g.image.Manifests[len(g.image.Manifests)-1].Descriptor
	return g.image, nil
}
