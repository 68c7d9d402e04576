package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"
)

const (
	// promiseTime is for how long a blob stays that a client has been told of, or
	// has sent, before a manifest must name it.
	promiseTime = 24 * time.Hour
	// promiseEvery is how old a blob's date may be when it is promised again.
	promiseEvery = time.Hour
)

// Blob is of Store.
func (d *Disk) Blob(_ context.Context, name string, digest Digest) (Content, error) {
	c, err := d.blob(name, digest)
	if err == nil {
		d.promise(blobPath(name, digest))
	}
	return c, err
}

func (d *Disk) blob(name string, digest Digest) (Content, error) {
	file := blobPath(name, digest)
	var info fs.FileInfo
	err := d.names.read(file, func() (err error) {
		info, err = d.tree.root.Stat(file)
		return err
	})
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
			f, err := d.tree.root.Open(file)
			if errors.Is(err, fs.ErrNotExist) { // deleted since
				return nil, ErrBlobUnknown
			}
			return f, err
		},
	}, nil
}

// promise dates a blob, so that it survives collections of garbage for
// promiseTime. A date that cannot be set is the old one.
func (d *Disk) promise(file string) {
	info, err := d.tree.root.Stat(file)
	if err != nil {
		return
	}
	now := d.now()
	if age := now.Sub(info.ModTime()); age > promiseEvery || age < -promiseEvery {
		d.tree.root.Chtimes(file, time.Time{}, now)
	}
}

// Mount is of Store.
func (d *Disk) Mount(_ context.Context, name string, digest Digest) error {
	var there bool
	err := d.names.read(poolPath(digest), func() (err error) {
		there, err = d.tree.exists(poolPath(digest))
		return err
	})
	if err != nil {
		return err
	}
	if !there {
		return ErrBlobUnknown
	}
	return d.linkIn(name, digest)
}

// DeleteBlob is of Store.
func (d *Disk) DeleteBlob(_ context.Context, name string, digest Digest) error {
	defer d.lockManifest(name, digest)()
	_, err := d.mediaType(name, digest)
	if err == nil {
		return fmt.Errorf("%w: it is a manifest, delete it as one", ErrUnsupported)
	}
	if err != ErrManifestUnknown {
		return err
	}
	if _, err := d.blob(name, digest); err != nil {
		return err
	}
	return d.unlink(name, digest)
}

// unlink removes a blob from a repository, if it is there.
func (d *Disk) unlink(name string, digest Digest) error {
	file := blobPath(name, digest)
	return d.edit(path.Dir(file), edit{
		name: file,
		already: func() (bool, error) {
			there, err := d.tree.exists(file)
			return !there, err
		},
		do:   func() error { return d.tree.remove(file) },
		undo: func() error { return unless(d.tree.link(poolPath(digest), file), fs.ErrExist) },
	})
}
