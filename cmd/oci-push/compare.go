package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// registered returns the digest of the content that the registry has for a file
// of this name and size, and reports whether it may be that of the entry: a
// small one is hashed before it is sent, and one that could not be read again,
// if it is another, is not compared.
func (p *pusher) registered(ctx context.Context, rec record.Image, name string, size int64) (v1.Hash, bool) {
	info, err := os.Stat(rec.Bundle) // the parts of a series have no one path
	if size <= p.mem.most || rec.Bundle == "-" || err == nil && !info.Mode().IsRegular() {
		return v1.Hash{}, false
	}
	_, raw, err := p.reg.Manifest(ctx, rec.Repository, rec.Tag)
	if err != nil {
		return v1.Hash{}, false // whatever it is, sending the file will meet it
	}
	var m v1.Manifest
	if json.Unmarshal(raw, &m) != nil || m.Annotations[ref.FileNameKey] != name || len(m.Layers) != 1 || m.Layers[0].Size != size {
		return v1.Hash{}, false
	}
	digest := m.Layers[0].Digest
	there, err := p.reg.HasBlob(ctx, rec.Repository, digest, size)
	return digest, there && err == nil
}

// comparedFile reads a large file of which the registry has one of the same name
// and size. If it is another one, it has passed by then, and is sent in a second
// reading of the bundle. Its digest is that of the first, so that a verdict on
// the bundle holds for it.
func (p *pusher) comparedFile(ctx context.Context, rec record.Image, have v1.Hash, e *bundle.Entry) (*transfer, error) {
	d, err := oci.Sum(ctx, e)
	if err != nil {
		return nil, err
	}
	if d == have {
		t := &transfer{key: blobKey{rec.Repository, d}, size: e.Size, done: make(chan struct{})}
		close(t.done)
		return t, nil
	}
	b, err := pipe.Bundle{Path: rec.Bundle}.Open(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	p.progress.Doing(e.Path + ", from a second reading of the bundle")
	for again, err := range b.Entries(ctx) {
		switch {
		case errors.Is(err, bundle.ErrEntry):
		case err != nil:
			return nil, err
		case again.Path == e.Path && again.Size == e.Size:
			return p.verifiedFile(ctx, rec.Repository, d, again)
		}
	}
	return nil, errors.New("the bundle has changed while it was read")
}
