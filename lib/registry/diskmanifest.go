package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"k0rdent-airgap/lib/ref"
)

// Manifest implements Store.
func (d *Disk) Manifest(_ context.Context, name, tag string, digest Digest) (c Content, err error) {
	for {
		if tag != "" {
			digest, err = d.resolve(name, tag)
		}
		if err == nil {
			c.MediaType, err = d.mediaType(name, digest)
		}
		mediaType := c.MediaType
		if err == nil {
			c, err = d.blob(name, digest)
			c.MediaType = mediaType
		}
		if err == nil && tag != "" {
			// The tag may be one of a deleted manifest that has been pushed again
			// since: a sweep has then removed it.
			if now, err := d.resolve(name, tag); err != nil || now != digest {
				continue
			}
			if link, err := d.tree.root.Lstat(tagPath(name, tag)); err == nil { // else it has just been deleted
				c.Tagged = link.ModTime()
			}
		}
		if err == nil || !errors.Is(err, ErrManifestUnknown) && !errors.Is(err, ErrBlobUnknown) {
			return c, err
		}
		// It is absent, or the tag moved and the old manifest was deleted meanwhile.
		if tag == "" || digest == "" {
			break
		}
		if now, err := d.resolve(name, tag); err != nil || now == digest {
			break
		}
	}
	if !d.hasRepo(name) {
		return Content{}, ErrNameUnknown
	}
	return Content{}, ErrManifestUnknown
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
	return d.editIn(tagsPath(name), edits...)
}

// listManifest makes a blob of a repository a manifest and a referrer of its subject.
func (d *Disk) listManifest(name, mediaType string, stored Stored) error {
	if stored.Subject != "" {
		link := referrerPath(name, stored.Subject, stored.Digest)
		if err := d.editIn(path.Dir(link), d.linkEdit(link, stored.Digest.Path())); err != nil {
			return err
		}
	}
	file := manifestPath(name, stored.Digest)
	return d.editIn(path.Dir(file), d.linkEdit(file, mediaType))
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

// DeleteManifest implements Store. Unless the disk is full, its cost does not
// depend on the repository.
func (d *Disk) DeleteManifest(ctx context.Context, name, tag string, digest Digest) (err error) {
	if tag != "" {
		digest, err = d.resolve(name, tag)
	}
	var mediaType string
	if err == nil {
		if tag == "" {
			defer d.lockManifest(name, digest)()
		}
		mediaType, err = d.mediaType(name, digest)
	}
	if err == ErrManifestUnknown && !d.hasRepo(name) {
		return ErrNameUnknown
	}
	if err != nil {
		return err
	}
	defer d.indexes.note(name)
	if tag != "" {
		return d.edit(tagsPath(name), d.removeLink(tagPath(name, tag), tagTarget(digest)))
	}
	subject, err := d.subjectOf(ctx, name, digest, mediaType)
	if err != nil {
		return err
	}
	err = d.editIn(deletedPath(name), d.linkEdit(deletedMarkPath(name, digest), deletedMark))
	if isFull(err) { // a deletion makes room
		err = d.removeTags(ctx, name, map[string]Digest{tagTarget(digest): digest})
	}
	if err != nil {
		return err
	}
	file := manifestPath(name, digest)
	if err := d.edit(path.Dir(file), d.removeLink(file, mediaType)); err != nil {
		return err
	}
	if subject != "" {
		link := referrerPath(name, subject, digest)
		if err := d.edit(path.Dir(link), d.removeLink(link, digest.Path())); err != nil {
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
