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
	"k0rdent-airgap/lib/ref"
)

// registered returns the digest of the content that the registry has for a file
// of this name and size, and reports whether there is any.
func (p *pusher) registered(ctx context.Context, repository, tag, name string, size int64) (v1.Hash, bool) {
	_, raw, err := p.reg.Manifest(ctx, repository, tag)
	if err != nil {
		return v1.Hash{}, false // whatever it is, sending the file will meet it
	}
	var m v1.Manifest
	if json.Unmarshal(raw, &m) != nil || m.Annotations[ref.FileNameKey] != name || len(m.Layers) != 1 || m.Layers[0].Size != size {
		return v1.Hash{}, false
	}
	digest := m.Layers[0].Digest
	there, err := p.reg.HasBlob(ctx, repository, digest, size)
	return digest, there && err == nil
}

// rereadable reports whether a bundle can be read a second time.
func rereadable(path string) bool {
	info, err := os.Stat(path)
	return path != "-" && (err != nil || info.Mode().IsRegular()) // the parts of a series have no one path
}

// comparedFile reads a large file of which the registry has one of the same name
// and size. If it is another one, it has passed by then, and is sent in a second
// reading of the bundle.
func (p *pusher) comparedFile(ctx context.Context, repository string, have v1.Hash, e *bundle.Entry) (*transfer, error) {
	d, err := oci.Sum(ctx, e)
	if err != nil {
		return nil, err
	}
	t := &transfer{key: blobKey{repository, d}, size: e.Size, done: make(chan struct{})}
	if d == have {
		close(t.done)
		return t, nil
	}
	if p.again == nil {
		p.again = make(map[string]*transfer)
	}
	p.again[e.Path] = t
	return t, nil
}

// readAgain sends what passed unsent when a bundle was read, with this result. The
// digests are those of the first reading, so that a verdict on it holds for them.
func (p *pusher) readAgain(ctx context.Context, want pipe.Bundle, err error) error {
	left := p.again
	p.again = nil
	if len(left) == 0 {
		return err
	}
	if err == nil {
		err = p.sendAgain(ctx, want, left)
	}
	for _, t := range left {
		if t.err = err; err == nil {
			t.err = errChanged
		}
		close(t.done)
	}
	return err
}

var errChanged = errors.New("the bundle has changed while it was read")

// sendAgain removes what it sends from left.
func (p *pusher) sendAgain(ctx context.Context, want pipe.Bundle, left map[string]*transfer) error {
	b, err := pipe.Bundle{Path: want.Path}.Open(ctx, nil)
	if err != nil {
		return err
	}
	defer b.Close()
	p.progress.Start("pushing changed files", b.Size, b.Offset)
	for e, err := range b.Entries(ctx) {
		if errors.Is(err, bundle.ErrEntry) {
			continue
		}
		if err != nil {
			return want.Named(err)
		}
		t := left[e.Path]
		if t == nil || t.size != e.Size {
			continue
		}
		delete(left, e.Path)
		err := p.passing(ctx, t.key.repository, oci.Blob{Digest: t.key.digest, Size: e.Size, Reader: oci.Verify(e, t.key.digest, e.Size)})
		sent := p.up.lookup(t.key.repository, t.key.digest)
		p.up.wg.Go(func() {
			<-sent.done
			t.sent, t.err = sent.sent, sent.err
			close(t.done)
		})
		if err != nil || len(left) == 0 {
			return err
		}
	}
	return nil
}
