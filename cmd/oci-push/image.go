package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// images matches the images of an archive with their names.
func (p *pusher) images(ctx context.Context, path string, e *bundle.Entry, archive *oci.Archive, guess string, names []record.Image) error {
	named, err := p.names(ref.Plain(path, e.Path), archive, names)
	if err != nil {
		return err
	}
	for _, n := range named {
		rec := n.Record(path, e.Path)
		rec.Repository, rec.Tag = n.Reference.Repository, n.Reference.Tag
		if n.Warning != "" {
			rec.Warning = n.Warning
		}
		if err := p.image(ctx, contentOf(archive), n.Image, guess, rec); err != nil {
			return err
		}
	}
	return nil
}

// names returns the images of an archive to publish: those that records request
// or, without any, all of them under their own names.
func (p *pusher) names(entry string, archive *oci.Archive, asked []record.Image) ([]oci.Named, error) {
	if len(asked) == 0 {
		return archive.Named(entry, nil)
	}
	images, err := archive.Images()
	if err != nil {
		return nil, err
	}
	var all []oci.Named
	for _, rec := range asked {
		img, err := meant(entry, archive, images, rec.Digest)
		if err != nil {
			p.results.fail(rec, err)
			continue
		}
		all = append(all, oci.Named{
			Image: img, Warning: rec.Warning, Reference: ref.Reference{Repository: rec.Repository, Tag: rec.Tag},
		})
	}
	return all, nil
}

// meant returns the image of an archive that a record refers to: by its digest
// or, without one, the image that the entry's name belongs to.
func meant(entry string, archive *oci.Archive, images []*oci.Image, digest string) (*oci.Image, error) {
	if digest == "" {
		return archive.Main(entry)
	}
	for _, img := range images {
		if img.Descriptor.Digest.String() == digest {
			return img, nil
		}
	}
	return nil, fmt.Errorf("the archive does not hold %s: the bundle has changed since it was listed", digest)
}

// content returns a blob that can still be read, or nil, and how much memory it
// uses until it is sent.
type content func(v1.Hash) (io.ReadSeeker, int64)

// image starts pushing one image under one name. The error ends the run.
func (p *pusher) image(ctx context.Context, read content, img *oci.Image, guess string, rec record.Image) error {
	p.survey.wanted++
	rec = p.named(rec)
	if err := checkName(p.reg.Repository(rec.Repository), rec.Tag); err != nil {
		p.results.fail(rec, err)
		return nil
	}
	if other := p.published[rec.Reference]; other != "" && other != rec.Digest {
		p.results.fail(rec, fmt.Errorf("duplicate reference: another entry of this run is %s with digest %s", rec.Reference, other))
		return nil
	}
	p.published[rec.Reference] = rec.Digest
	p.survey.count(p.cfg.platforms, img)
	img, left := narrow(p.cfg.platforms, img)
	if img == nil {
		p.survey.wanted--
		p.survey.leftOut++
		p.results.skip(record.Skipped{Bundle: rec.Bundle, Entry: rec.Entry, Size: rec.Size, Reason: left}, nil)
		return nil
	}
	it := &item{record: rec, image: img, blobs: make(map[v1.Hash]*transfer), done: make(chan struct{})}
	held := p.claimBlobs(ctx, read, it, rec.Repository, guess)
	if p.gate != nil { // nothing is released before the end, so it would wait forever
		if err := p.gate.hold(held); err != nil {
			return err
		}
		held = 0
	} else if held = min(max(held, waitingJSON/waiting), waitingJSON); p.results.json.Acquire(ctx, held) != nil {
		return context.Cause(ctx)
	}
	p.results.add(it)
	g := p.gate
	p.up.wg.Go(func() {
		p.conclude(ctx, it, g)
		p.results.json.Release(held)
		close(it.done)
	})
	return nil
}

// named sets the destination of an image.
func (p *pusher) named(rec record.Image) record.Image {
	name := ref.Reference{Host: p.reg.Host(), Repository: p.reg.Repository(rec.Repository), Tag: rec.Tag}
	if rec.Tag == "" {
		name.Digest = ref.Digest(rec.Digest)
	}
	rec.Registry, rec.Prefix, rec.Reference = p.reg.Host(), p.reg.Prefix(), name.String()
	return rec
}

// checkName checks the destination of an image. Without a tag, it is published
// by digest.
func checkName(repository, tag string) error {
	if tag == "" {
		return ref.CheckRepository(repository)
	}
	return ref.Reference{Repository: repository, Tag: tag}.Check()
}

// claimBlobs ensures that each blob of an image is being uploaded to its
// repository, and returns how many bytes of JSON are waiting for that.
func (p *pusher) claimBlobs(ctx context.Context, read content, it *item, repository, guess string) int64 {
	var held int64
	for _, m := range it.image.Manifests {
		held += int64(len(m.Raw))
	}
	for _, desc := range slices.Concat(it.image.Blobs, it.image.MissingBlobs()) {
		d := desc.Digest
		b, size := read(d)
		if b == nil {
			it.blobs[d] = p.passed(ctx, repository, guess, desc)
			continue
		}
		held += size
		it.blobs[d] = p.up.send(ctx, repository, d, desc.Size, b)
	}
	return held
}

// contentOf returns the blobs that an archive still holds.
func contentOf(archive *oci.Archive) content {
	return func(d v1.Hash) (io.ReadSeeker, int64) {
		if raw, ok := archive.JSON[d]; ok {
			return bytes.NewReader(raw), int64(len(raw))
		}
		if section, ok := archive.Blob(d); ok {
			return section, 0
		}
		return nil, 0
	}
}

var errAbsent = errors.New("neither the archive nor the registry has it")

// passed returns the transfer of a blob whose content has streamed past, or
// never was in the archive, which is harmless as long as the registry has it.
func (p *pusher) passed(ctx context.Context, repository, guess string, desc v1.Descriptor) *transfer {
	if t := p.up.lookup(repository, desc.Digest); t != nil {
		return t
	}
	t, mine := p.up.claim(repository, desc.Digest, desc.Size)
	if !mine {
		return t
	}
	sent := p.up.lookup(guess, desc.Digest)
	if sent == nil || sent == t {
		p.up.start(ctx, t, missing{errAbsent})
		return t
	}
	// The archive turned out to belong to a repository other than its name
	// suggested: blobs pushed there are linked or copied.
	p.up.wg.Go(func() {
		<-sent.done
		if sent.err != nil {
			p.up.finish(t, errors.Unwrap(sent.err))
			return
		}
		p.up.start(ctx, t, p.reg.Blob(ctx, guess, desc.Digest))
	})
	return t
}

// sortedBlobs returns the transfers of an item in a fixed order, so that the
// same failure is reported every time.
func (it *item) sortedBlobs() []*transfer {
	return slices.SortedFunc(maps.Values(it.blobs), func(a, b *transfer) int {
		return cmp.Compare(a.key.digest.String(), b.key.digest.String())
	})
}
