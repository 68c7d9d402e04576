package oci

import (
	"bytes"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Fetch gives a manifest, or another blob that ought to be JSON, nil if it is
// not to be had. It need not check the digest.
type Fetch func(d v1.Descriptor, manifest bool) ([]byte, error)

// Follow gives the image that root leads to, where its JSON is fetched rather
// than found in an archive; its blobs are taken to be there. Errors are those
// of fetch, ErrInvalid and ErrDigest.
func Follow(root v1.Descriptor, fetch Fetch) (*Image, error) {
	a := newArchive()
	a.fetch = fetch
	g := &graph{archive: a, image: &Image{Descriptor: root}, seen: map[v1.Hash]bool{}}
	if err := g.manifest(root, 0); err != nil {
		return nil, err
	}
	if len(g.image.Manifests) == 0 {
		return nil, invalid("manifest %v is not there", root.Digest)
	}
	g.image.Descriptor = g.image.Manifests[len(g.image.Manifests)-1].Descriptor
	return g.image, nil
}

// fetchJSON is load for an archive that is none.
func (a *Archive) fetchJSON(d v1.Descriptor, manifest bool) ([]byte, error) {
	if d.Size < 0 || d.Size > maxJSON {
		return nil, invalid("blob %v is %d bytes, too large for a manifest or a config", d.Digest, d.Size)
	}
	raw, err := a.fetch(d, manifest)
	if raw == nil || err != nil {
		return nil, err
	}
	if _, err := readAll(Verify(bytes.NewReader(raw), d.Digest, d.Size), d.Size); err != nil {
		return nil, err
	}
	return raw, nil
}
