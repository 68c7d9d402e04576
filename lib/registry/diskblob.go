package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

const (
	// promiseTime is how long a blob that a client has seen or pushed stays before a
	// manifest must name it.
	promiseTime = 24 * time.Hour
	// promiseEvery is how old a blob's date must be to be renewed.
	promiseEvery = time.Hour
)

// Blob implements Store.
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
		err = d.unknown(name, ErrBlobUnknown, ErrBlobUnknown)
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

// promise dates a blob, so that garbage collection keeps it for promiseTime. If
// that fails, the old date stays.
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

// Mount implements Store.
func (d *Disk) Mount(_ context.Context, name string, digest Digest) error {
	there, err := d.exists(poolPath(digest))
	if err == nil && !there {
		err = ErrBlobUnknown
	}
	if err != nil {
		return err
	}
	return d.linkIn(name, digest)
}

// DeleteBlob implements Store.
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

// unlink removes a blob from a repository, if it exists.
func (d *Disk) unlink(name string, digest Digest) error {
	file := blobPath(name, digest)
	return d.edit(edit{
		name: file,
		already: func() (bool, error) {
			there, err := d.tree.exists(file)
			return !there, err
		},
		do:   func() error { return d.tree.remove(file) },
		undo: func() error { return unless(d.tree.link(poolPath(digest), file), fs.ErrExist) },
	})
}
