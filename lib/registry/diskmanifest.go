package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"k0rdent-airgap/lib/ref"
)

// Manifest implements Store.
func (d *Disk) Manifest(_ context.Context, name, tag string, digest Digest) (c Content, err error) {
	if tag == "" {
		c, err = d.manifest(name, digest)
	} else {
		c, err = d.tagged(name, tag)
	}
	return c, d.unknown(name, err, ErrManifestUnknown)
}

// manifest returns a manifest by its digest, or ErrManifestUnknown.
func (d *Disk) manifest(name string, digest Digest) (Content, error) {
	mediaType, err := d.mediaType(name, digest)
	if err != nil {
		return Content{}, err
	}
	c, err := d.blob(name, digest)
	if errors.Is(err, ErrBlobUnknown) { // deleted meanwhile
		err = ErrManifestUnknown
	}
	c.MediaType = mediaType
	return c, err
}

// tagged returns the manifest that a tag points to, or ErrManifestUnknown.
func (d *Disk) tagged(name, tag string) (Content, error) {
	for {
		digest, err := d.resolve(name, tag)
		if err != nil {
			return Content{}, err
		}
		c, err := d.manifest(name, digest)
		// Meanwhile the tag may have moved and the manifest been deleted, or the
		// manifest was pushed again after a deletion, whose sweep removed the tag.
		if now, gone := d.resolve(name, tag); gone != nil || now != digest {
			continue
		}
		if link, gone := d.tree.stat(tagPath(name, tag)); gone == nil { // else it has just been deleted
			c.Tagged = link.modified()
		}
		return c, err
	}
}

// PutManifest implements Store. The body goes to a file first, so that many slow
// clients take no memory.
func (d *Disk) PutManifest(ctx context.Context, name string, put ManifestPut, body io.Reader) (Stored, error) {
	f, temp, err := d.tempFile()
	if err != nil {
		return Stored{}, err
	}
	defer d.tree.remove(temp)
	defer f.Close()
	algorithm := "sha256"
	if put.Digest != "" {
		algorithm = put.Digest.Algorithm()
	}
	h := ref.NewHash(algorithm)
	size, err := receive(d.tree.writer(f, temp), &d.buffers, h, io.LimitReader(body, maxManifest+1), -1)
	if err != nil {
		return Stored{}, err
	}
	if size > maxManifest {
		return Stored{}, ErrManifestTooLarge
	}
	digest := ref.Sum(algorithm, h)
	if put.Digest != "" && put.Digest != digest {
		return Stored{}, fmt.Errorf("%w: want %s, got %s", ErrDigestInvalid, put.Digest, digest)
	}
	m, err := d.readManifest(ctx, f, size, put.MediaType)
	if err != nil {
		return Stored{}, err
	}
	if err := d.checkConfig(name, m); err != nil {
		return Stored{}, err
	}
	d.tree.root.Chtimes(temp, time.Time{}, d.now())
	if err := d.tree.sync(f, temp); err != nil {
		return Stored{}, storageError(err)
	}
	stored := Stored{digest, m.subject()}
	return stored, d.putManifest(ctx, name, temp, m.MediaType, stored, put.Tags)
}

// readManifest parses a manifest from a file once there is memory for it.
func (d *Disk) readManifest(ctx context.Context, f io.ReaderAt, size int64, mediaType string) (*manifest, error) {
	if err := d.parsing.Acquire(ctx, size); err != nil {
		return nil, &bodyError{err} // the client disconnected
	}
	defer d.parsing.Release(size)
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil {
		return nil, err
	}
	return parseManifest(data, mediaType)
}

// putManifest makes a synced file a blob of the repository, then a manifest, and
// then points tags at it, so that nothing ever points to what is absent.
func (d *Disk) putManifest(ctx context.Context, name, file, mediaType string, stored Stored, tags []string) error {
	defer d.lockManifest(name, stored.Digest)()
	if err := d.commit(file, name, stored.Digest); err != nil {
		return err
	}
	if deleted, err := d.tree.exists(deletedMarkPath(name, stored.Digest)); err != nil {
		return err
	} else if deleted {
		if err := d.sweepLocked(ctx, name, stored.Digest); err != nil {
			return err
		}
	}
	defer d.indexes.note(name)
	if err := d.listManifest(name, mediaType, stored); err != nil || len(tags) == 0 {
		return err
	}
	edits := make([]edit, len(tags))
	for i, tag := range tags {
		edits[i] = d.linkEdit(tagPath(name, tag), tagTarget(stored.Digest))
	}
	return d.editIn(edits...)
}

// listManifest makes a blob of a repository a manifest and a referrer of its subject.
func (d *Disk) listManifest(name, mediaType string, stored Stored) error {
	if stored.Subject != "" {
		link := referrerPath(name, stored.Subject, stored.Digest)
		if err := d.editIn(d.linkEdit(link, stored.Digest.Path())); err != nil {
			return err
		}
	}
	return d.editIn(d.linkEdit(manifestPath(name, stored.Digest), mediaType))
}

// checkConfig returns ErrManifestBlobUnknown if an image's config is absent, as in
// a push to the wrong repository. Layers may be absent: some are not distributable,
// an index may lack platforms, and the conformance suite requires it.
func (d *Disk) checkConfig(name string, m *manifest) error {
	if !m.isImage() {
		return nil
	}
	_, err := d.blob(name, m.Config.Digest)
	if errors.Is(err, ErrBlobUnknown) || errors.Is(err, ErrNameUnknown) {
		return fmt.Errorf("%w: config %s", ErrManifestBlobUnknown, m.Config.Digest)
	}
	return err
}

// DeleteManifest implements Store.
func (d *Disk) DeleteManifest(ctx context.Context, name, tag string, digest Digest) (err error) {
	if tag == "" {
		err = d.deleteManifest(ctx, name, digest)
	} else {
		err = d.deleteTag(name, tag)
	}
	return d.unknown(name, err, ErrManifestUnknown)
}

func (d *Disk) deleteTag(name, tag string) error {
	digest, err := d.resolve(name, tag)
	if err == nil {
		_, err = d.mediaType(name, digest)
	}
	if err != nil {
		return err
	}
	defer d.indexes.note(name)
	return d.edit(d.removeLink(tagPath(name, tag), tagTarget(digest)))
}

// deleteManifest removes a manifest with its tags. Unless the disk is full, its cost
// does not depend on the repository.
func (d *Disk) deleteManifest(ctx context.Context, name string, digest Digest) error {
	defer d.lockManifest(name, digest)()
	mediaType, err := d.mediaType(name, digest)
	if err != nil {
		return err
	}
	defer d.indexes.note(name)
	subject, err := d.subjectOf(ctx, name, digest, mediaType)
	if err != nil {
		return err
	}
	err = d.editIn(d.linkEdit(deletedMarkPath(name, digest), deletedMark))
	if isFull(err) { // a deletion makes room
		err = d.removeTags(ctx, name, map[string]Digest{tagTarget(digest): digest})
	}
	if err != nil {
		return err
	}
	if err := d.edit(d.removeLink(manifestPath(name, digest), mediaType)); err != nil {
		return err
	}
	if subject != "" {
		link := referrerPath(name, subject, digest)
		if err := d.edit(d.removeLink(link, digest.Path())); err != nil {
			return err
		}
	}
	return d.unlink(name, digest)
}

// subjectOf returns the subject of a manifest, or "" if it has none or is damaged.
func (d *Disk) subjectOf(ctx context.Context, name string, digest Digest, mediaType string) (Digest, error) {
	m, _, err := d.parsed(ctx, name, digest, mediaType)
	if err != nil {
		return "", ctx.Err()
	}
	return m.subject(), nil
}

// parsed parses a manifest of a repository, and returns its size as well.
func (d *Disk) parsed(ctx context.Context, name string, digest Digest, mediaType string) (*manifest, int64, error) {
	f, err := d.tree.root.Open(blobPath(name, digest))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.Size() > maxManifest {
		return nil, 0, &os.PathError{Op: "read", Path: f.Name(), Err: ErrManifestTooLarge}
	}
	m, err := d.readManifest(ctx, f, info.Size(), mediaType)
	return m, info.Size(), err
}
