package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
)

// hasRepo tells whether a repository exists, for errors.
func (d *Disk) hasRepo(name string) bool {
	_, err := d.root.Stat(repoPath(name, ""))
	return err == nil
}

// Blob is of Store.
func (d *Disk) Blob(_ context.Context, name string, digest Digest) (Content, error) {
	file := blobPath(name, digest)
	info, err := d.root.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if !d.hasRepo(name) {
			return Content{}, ErrNameUnknown
		}
		return Content{}, ErrBlobUnknown
	}
	if err != nil {
		return Content{}, err
	}
	return Content{
		Digest: digest,
		Size:   info.Size(),
		Open: func() (io.ReadSeekCloser, error) {
			f, err := d.root.Open(file)
			if errors.Is(err, fs.ErrNotExist) { // deleted since
				return nil, ErrBlobUnknown
			}
			return f, err
		},
	}, nil
}

// Mount is of Store.
func (d *Disk) Mount(_ context.Context, name string, digest Digest) error {
	if _, err := d.root.Stat(poolPath(digest)); errors.Is(err, fs.ErrNotExist) {
		return ErrBlobUnknown
	}
	return d.linkIn(name, digest)
}

// DeleteBlob is of Store.
func (d *Disk) DeleteBlob(_ context.Context, name string, digest Digest) error {
	r, err := d.repos.acquire(d, name)
	if err != nil {
		return err
	}
	defer d.repos.release(r)
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.index.manifests[digest] != nil {
		return fmt.Errorf("%w: it is a manifest, delete it as one", ErrUnsupported)
	}
	return d.unlink(name, digest)
}

func (d *Disk) unlink(name string, digest Digest) error {
	err := d.root.Remove(blobPath(name, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrBlobUnknown
	}
	if err != nil {
		return err
	}
	return d.syncDir(path.Dir(blobPath(name, digest)))
}

// commit makes a finished file a blob of the pool and of a repository; the
// caller then removes it. The file has been synced: under its digest it must
// never be seen with less than its content.
func (d *Disk) commit(file, name string, digest Digest) error {
	if err := d.root.Link(file, poolPath(digest)); err != nil && !errors.Is(err, fs.ErrExist) {
		return noSpace(err)
	}
	return d.linkIn(name, digest)
}

// linkIn links a blob from the pool into a repository's layout. Both
// directories are synced even when the links are there already: another push
// may have made them a moment ago and not have synced them yet.
func (d *Disk) linkIn(name string, digest Digest) error {
	from, to := poolPath(digest), blobPath(name, digest)
	err := d.root.Link(from, to)
	if errors.Is(err, fs.ErrNotExist) { // the repository's first blob with this algorithm
		if err := d.makeLayout(name, digest.Algorithm()); err != nil {
			return err
		}
		err = d.root.Link(from, to)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return noSpace(err)
	}
	if err := d.syncDir(path.Dir(from)); err != nil {
		return err
	}
	return d.syncDir(path.Dir(to))
}
