package main

import (
	"cmp"
	"context"
	"fmt"

	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
)

// conclude waits for an image's blobs, and for its bundle to be trusted, and
// publishes it.
func (p *pusher) conclude(ctx context.Context, it *item, g *gate) {
	rec := &it.record
	sent, err := p.await(ctx, it)
	err = cmp.Or(err, it.err)
	if err == nil {
		err = g.pass(ctx)
	}
	if err == nil {
		var changed bool
		changed, rec.Replaces, err = p.publish(ctx, it.image, rec.Repository, rec.Tag)
		sent = sent || changed
		p.up.consider(rec.Repository, err)
	}
	switch {
	case err != nil:
		it.fail(ctx, err)
	case !sent:
		rec.Status = record.StatusExists
	case p.cfg.plan:
		rec.Status = record.StatusPlanned
	default:
		rec.Status = record.StatusPushed
	}
}

// await waits for all blobs, and reports whether any was sent.
func (p *pusher) await(ctx context.Context, it *item) (sent bool, err error) {
	for _, t := range it.sortedBlobs() {
		<-t.done
		switch {
		case t.err != nil:
			if err == nil {
				err = t.err
			}
		case t.sent:
			sent = true
			it.record.PushedBytes += t.size
		default:
			it.record.ExistingBytes += t.size
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return sent, err
}

// publish pushes the manifests of an image, children before parents and the tag
// with the last one, so that nothing ever points to something missing. The
// bytes are those of the archive: a manifest is never re-encoded. It returns
// the digest that the tag had before, if it was different.
func (p *pusher) publish(ctx context.Context, img *oci.Image, repository, tag string) (changed bool, replaced string, err error) {
	last := len(img.Manifests) - 1
	for i, m := range img.Manifests {
		name := m.Descriptor.Digest.String()
		if i == last && tag != "" {
			name = tag
		}
		had, err := p.manifest(ctx, repository, name, m)
		if err != nil && i == last && len(img.MissingManifests()) > 0 {
			return changed, "", fmt.Errorf("manifest %s: the registry may not accept an index with %d of its manifests missing: %w", name, len(img.MissingManifests()), err)
		}
		if err != nil && name == tag { // it names the image already
			return changed, "", fmt.Errorf("manifest: %w", err)
		}
		if err != nil {
			return changed, "", fmt.Errorf("manifest %s: %w", name, err)
		}
		if had == m.Descriptor.Digest.String() {
			continue
		}
		if changed = true; name == tag {
			replaced = had
		}
	}
	return changed, replaced, nil
}

// manifest pushes one manifest unless the registry has it under that name. It
// returns the previous digest of that name.
func (p *pusher) manifest(ctx context.Context, repository, name string, m oci.Manifest) (had string, err error) {
	had, err = p.reg.Digest(ctx, repository, name)
	if err != nil || had == m.Descriptor.Digest.String() || p.cfg.plan {
		return had, err
	}
	return had, p.reg.PutManifest(ctx, repository, name, string(m.Descriptor.MediaType), m.Raw)
}
