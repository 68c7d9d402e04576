package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// Collected is the result of a garbage collection: blobs of the pool, and removed
// uploads and repositories.
type Collected struct {
	Removed, Kept           int
	RemovedBytes, KeptBytes int64
	Uploads, Repositories   int
}

// Collect removes from each repository the blobs that none of its manifests names,
// unless a client has pushed or seen them within the last day, since their manifest
// may still follow. It also removes empty repositories, files of the pool without
// links, and expired uploads, or all with uploads. It creates no file, so that it
// works on a full disk. No other method may run meanwhile.
func (d *Disk) Collect(ctx context.Context, uploads bool) (c Collected, err error) {
	if d.readOnly {
		return c, ErrReadOnly
	}
	d.indexes.writing.Lock() // what it writes is among the uploads first
	defer d.indexes.writing.Unlock()
	if c.Uploads, err = d.removeUploads(uploads); err != nil {
		return c, err
	}
	before := d.now().Add(-promiseTime)
	err = d.walkRepos(ctx, func(name string) error {
		if err := d.sweep(ctx, name); err != nil {
			return err
		}
		if err := d.unlinkUnnamed(ctx, name, before); err != nil {
			return err
		}
		gone, err := d.removeEmpty(name)
		if gone {
			c.Repositories++
		}
		return err
	})
	if err != nil {
		return c, err
	}
	err = d.removeBlobs(ctx, poolDir, func(_ Digest, stat *fileStat) bool {
		if stat.Nlink > 1 {
			c.Kept++
			c.KeptBytes += stat.Size
			return false
		}
		c.Removed++
		c.RemovedBytes += stat.Size
		return true
	})
	return c, err
}

// removeBlobs removes the blobs in a directory for which unused returns true.
func (d *Disk) removeBlobs(ctx context.Context, blobs string, unused func(Digest, *fileStat) bool) error {
	removed := make(map[string]bool) // directories
	err := d.tree.eachBlob(ctx, blobs, func(file string, digest Digest, stat *fileStat) error {
		if !unused(digest, stat) {
			return nil
		}
		removed[path.Dir(file)] = true
		return d.tree.remove(file)
	})
	for dir := range removed {
		err = errors.Join(err, d.tree.syncDir(dir))
	}
	return err
}

// digestSet is a set of digests, by their first 16 bytes: a collision keeps a blob
// that could be removed.
type digestSet map[[16]byte]struct{}

func digestKey(digest Digest) (key [16]byte) {
	copy(key[:], digest[len(digest.Algorithm())+1:])
	return key
}

func (s digestSet) add(digest Digest) { s[digestKey(digest)] = struct{}{} }

func (s digestSet) has(digest Digest) bool {
	_, ok := s[digestKey(digest)]
	return ok
}

// unlinkUnnamed removes from a repository the blobs that no manifest names and that
// are older than a time. A manifest that cannot be read is an error.
func (d *Disk) unlinkUnnamed(ctx context.Context, name string, before time.Time) error {
	named := make(digestSet)
	err := d.eachManifest(ctx, name, func(digest Digest) error {
		named.add(digest)
		return d.eachNamed(name, digest, named.add)
	})
	if err != nil {
		return err
	}
	return d.removeBlobs(ctx, repoPath(name, "blobs"), func(digest Digest, stat *fileStat) bool {
		return !stat.modified().After(before) && !named.has(digest)
	})
}

// eachManifest calls visit for each manifest of a repository, in no order.
func (d *Disk) eachManifest(ctx context.Context, name string, visit func(Digest) error) error {
	for i, dir := range manifestDirs(name) {
		err := d.tree.eachName(dir, func(hex []byte, _ byte) error {
			digest, err := ParseDigest(algorithms[i] + ":" + string(hex))
			if err != nil {
				return ctx.Err() // not the registry's
			}
			return errors.Join(ctx.Err(), visit(digest))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachNamed calls visit for every digest anywhere in a manifest, so that all kinds
// of manifests keep their blobs.
func (d *Disk) eachNamed(name string, digest Digest, visit func(Digest)) error {
	f, err := d.tree.root.Open(blobPath(name, digest))
	if err != nil {
		return ifExists(err) // removed by hand
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		text, _ := token.(string)
		if digest, err := ParseDigest(text); err == nil {
			visit(digest)
		}
	}
}

// removeEmpty removes an empty repository and the empty directories above it.
func (d *Disk) removeEmpty(name string) (gone bool, err error) {
	for _, dir := range append(manifestDirs(name), repoPath(name, "blobs/sha256"), repoPath(name, "blobs/sha512")) {
		if empty, err := d.tree.isEmpty(dir); err != nil || !empty {
			return false, err
		}
	}
	if err := d.tree.root.RemoveAll(repoPath(name, "")); err != nil {
		return false, err
	}
	dir := path.Join(reposDir, name)
	for strings.HasPrefix(dir, reposDir+"/") {
		if err := d.tree.remove(dir); err != nil { // not empty
			break
		}
		dir = path.Dir(dir)
	}
	return true, d.tree.syncDir(dir)
}
