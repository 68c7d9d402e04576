package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// maxReferrers is the size in bytes up to which a page of referrers grows; it
// stays below the size up to which clients take a manifest.
const maxReferrers = 3 << 20

// Manifest is of Store.
func (d *Disk) Manifest(ctx context.Context, name, tag string, digest Digest) (Content, error) {
	digest, m, err := d.find(name, tag, digest)
	if err != nil {
		return Content{}, err
	}
	c, err := d.Blob(ctx, name, digest)
	if errors.Is(err, ErrBlobUnknown) { // deleted since, or by hand
		err = ErrManifestUnknown
	}
	c.MediaType = m.mediaType
	return c, err
}

// find looks a manifest up by tag or, if tag is "", by digest.
func (d *Disk) find(name, tag string, digest Digest) (Digest, listed, error) {
	r, err := d.repos.acquire(d, name)
	if err != nil {
		return "", listed{}, err
	}
	defer d.repos.release(r)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if tag != "" {
		digest = r.index.tags[tag]
	}
	m := r.index.manifests[digest]
	if m == nil {
		return "", listed{}, ErrManifestUnknown
	}
	return digest, *m, nil
}

// PutManifest is of Store. The manifest arrives in a file as a blob does, so
// that many slow clients cost no memory, and is read back when it is complete.
func (d *Disk) PutManifest(ctx context.Context, name string, put ManifestPut, body io.Reader) (Stored, error) {
	f, temp, err := d.tempFile()
	if err != nil {
		return Stored{}, err
	}
	defer d.root.Remove(temp)
	defer f.Close()
	algorithm := "sha256"
	if put.Digest != "" {
		algorithm = put.Digest.Algorithm()
	}
	h := newHash(algorithm)
	size, err := receive(f, &d.buffers, h, io.LimitReader(body, maxManifest+1), -1)
	if err != nil {
		return Stored{}, err
	}
	if size > maxManifest {
		return Stored{}, ErrManifestTooLarge
	}
	digest := sum(algorithm, h)
	if put.Digest != "" && put.Digest != digest {
		return Stored{}, fmt.Errorf("%w: want %s, got %s", ErrDigestInvalid, put.Digest, digest)
	}
	m, err := d.readManifest(ctx, f, size, put.MediaType)
	if err != nil {
		return Stored{}, err
	}
	if err := f.Sync(); err != nil {
		return Stored{}, noSpace(err)
	}
	stored := Stored{digest, m.subject()}
	return stored, d.list(name, temp, size, m, stored, put.Tags)
}

// readManifest parses a manifest from a file, waiting while others use up the
// memory for that.
func (d *Disk) readManifest(ctx context.Context, f io.ReaderAt, size int64, mediaType string) (*manifest, error) {
	if err := d.parsing.Acquire(ctx, size); err != nil {
		return nil, &bodyError{err} // the client has gone
	}
	defer d.parsing.Release(size)
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil {
		return nil, err
	}
	return parseManifest(data, mediaType)
}

// list makes a manifest's file a blob of the repository, lists it in the index
// and points the tags at it. The repository stays locked from the first to the
// last, so that no deletion comes between.
func (d *Disk) list(name, file string, size int64, m *manifest, stored Stored, tags []string) error {
	if err := d.checkConfig(name, m); err != nil {
		return err
	}
	if err := d.makeLayoutOnce(name, stored.Digest.Algorithm()); err != nil {
		return err
	}
	r, err := d.repos.acquire(d, name)
	if err != nil {
		return err
	}
	defer d.repos.release(r)
	r.writing.Lock()
	defer r.writing.Unlock()
	if err := d.commit(file, name, stored.Digest); err != nil {
		return err
	}
	if listedAs(r.index, stored.Digest, m.MediaType, tags) {
		return nil
	}
	entry := &Descriptor{MediaType: m.MediaType, Digest: stored.Digest, Size: size}
	if stored.Subject != "" {
		entry.Annotations = map[string]string{annotationSubject: string(stored.Subject)}
	}
	return d.change(r, change{Put: entry, Tags: tags})
}

// checkConfig tells whether an image's config is there; a push to the wrong
// repository fails by it. Nothing else has to be: layers may be missing when
// they are not distributable, and an index may lack platforms. The conformance
// suite wants an image without one of its layers taken as well.
func (d *Disk) checkConfig(name string, m *manifest) error {
	if !m.isImage() {
		return nil
	}
	_, err := d.root.Stat(blobPath(name, m.Config.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: config %s", ErrManifestBlobUnknown, m.Config.Digest)
	}
	return err
}

// listedAs tells whether an index says already what a push would make it say,
// as it does when a push is repeated.
func listedAs(ix *index, digest Digest, mediaType string, tags []string) bool {
	m := ix.manifests[digest]
	return m != nil && m.mediaType == mediaType &&
		!slices.ContainsFunc(tags, func(tag string) bool { return ix.tags[tag] != digest })
}

// DeleteManifest is of Store.
func (d *Disk) DeleteManifest(_ context.Context, name, tag string, digest Digest) error {
	r, err := d.repos.acquire(d, name)
	if err != nil {
		return err
	}
	defer d.repos.release(r)
	r.writing.Lock()
	defer r.writing.Unlock()
	if tag != "" {
		if _, ok := r.index.tags[tag]; !ok {
			return ErrManifestUnknown
		}
		return d.change(r, change{Untag: tag})
	}
	if r.index.manifests[digest] == nil {
		return ErrManifestUnknown
	}
	// The index first: a tag must not point at what is absent, even after a crash.
	if err := d.change(r, change{Remove: digest}); err != nil {
		return err
	}
	if err := d.unlink(name, digest); err != nil && !errors.Is(err, ErrBlobUnknown) {
		return err
	}
	return nil
}

// Tags is of Store.
func (d *Disk) Tags(_ context.Context, name, last string, limit int) ([]string, bool, error) {
	r, err := d.repos.acquire(d, name)
	if err != nil {
		return nil, false, err
	}
	defer d.repos.release(r)
	r.mu.RLock()
	defer r.mu.RUnlock()
	tags, more := r.index.after(last, limit)
	return tags, more, nil
}

// Referrers is of Store. The index knows which manifests refer to a subject;
// their types and annotations are read from the manifests themselves.
func (d *Disk) Referrers(ctx context.Context, name string, subject Digest, artifactType, last string) ([]Descriptor, bool, error) {
	r, err := d.repos.acquire(d, name)
	if err != nil {
		return nil, false, err
	}
	r.mu.RLock()
	digests, _ := page(r.index.referrers[subject], Digest(last), noLimit)
	types := make([]string, len(digests))
	for i, digest := range digests {
		types[i] = r.index.manifests[digest].mediaType
	}
	r.mu.RUnlock()
	d.repos.release(r)

	var list []Descriptor
	for i, size := 0, 0; i < len(digests); i++ {
		desc, err := d.referrer(ctx, name, digests[i], types[i])
		if errors.Is(err, fs.ErrNotExist) { // deleted since
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if artifactType != "" && desc.ArtifactType != artifactType {
			continue
		}
		encoded, err := json.Marshal(desc)
		if err != nil {
			return nil, false, err
		}
		if size += len(encoded); size > maxReferrers && len(list) > 0 {
			return list, true, nil
		}
		list = append(list, desc)
	}
	return list, false, nil
}

func (d *Disk) referrer(ctx context.Context, name string, digest Digest, mediaType string) (Descriptor, error) {
	f, err := d.root.Open(blobPath(name, digest))
	if err != nil {
		return Descriptor{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Descriptor{}, err
	}
	if info.Size() > maxManifest {
		return Descriptor{}, &os.PathError{Op: "read", Path: f.Name(), Err: ErrManifestTooLarge}
	}
	m, err := d.readManifest(ctx, f, info.Size(), mediaType)
	if err != nil {
		return Descriptor{}, err
	}
	return m.referrer(digest, info.Size()), nil
}
