package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"
)

// Collected is what a collection of garbage found: blobs of the pool, in files
// and bytes, uploads, and repositories that were empty.
type Collected struct {
	Removed, Kept           int
	RemovedBytes, KeptBytes int64
	Uploads, Repositories   int
}

// Collect takes out of each repository the blobs that none of its manifests
// names, unless a client has sent them, or has been told that they are there,
// within the last day: their manifest may still follow. It removes repositories
// that are empty then, the files of the pool that no repository links to,
// expired uploads and, with uploads, all of them. It makes no file, so that it
// can run when nothing is free. It requires the storage to itself: no other
// method may run meanwhile.
func (d *Disk) Collect(ctx context.Context, uploads bool) (c Collected, err error) {
	if d.readOnly {
		return c, ErrReadOnly
	}
	if c.Uploads, err = d.removeUploads(uploads); err != nil {
		return c, err
	}
	before := d.now().Add(-promiseTime)
	err = d.walkRepos(ctx, func(name string) error {
		if err := d.unlinkUnnamed(name, before); err != nil {
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
	for _, algorithm := range algorithms {
		if err := d.collect(ctx, path.Join(poolDir, algorithm), &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// digestSet holds digests by their beginnings. Where those of two are the same,
// a blob is kept that need not be.
type digestSet map[[16]byte]struct{}

func digestKey(digest Digest) (key [16]byte) {
	copy(key[:], digest[len(digest.Algorithm())+1:])
	return key
}

// unlinkUnnamed removes from a repository what no manifest names and what is
// older than a time.
func (d *Disk) unlinkUnnamed(name string, before time.Time) error {
	named, err := d.named(name)
	if err != nil {
		return err
	}
	for _, algorithm := range algorithms {
		dir := repoPath(name, path.Join("blobs", algorithm))
		removed := false
		err := d.tree.eachFile(dir, func(file string, info fs.FileInfo, _ *syscall.Stat_t) error {
			digest, err := ParseDigest(algorithm + ":" + info.Name())
			if err != nil || info.ModTime().After(before) {
				return nil
			}
			if _, ok := named[digestKey(digest)]; ok {
				return nil
			}
			removed = true
			return d.tree.remove(file)
		})
		if err == nil && removed {
			err = d.tree.syncDir(dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// named returns every digest that occurs in a repository's manifests, wherever
// that is, and the manifests' own: what other kinds of manifests refer to must
// be kept as well. A manifest that cannot be read ends the collection.
func (d *Disk) named(name string) (digestSet, error) {
	named := make(digestSet)
	for _, algorithm := range algorithms {
		err := d.tree.eachName(repoPath(name, "manifests/"+algorithm), func(hex []byte, _ byte) error {
			digest, err := ParseDigest(algorithm + ":" + string(hex))
			if err != nil {
				return nil // not this program's
			}
			named[digestKey(digest)] = struct{}{}
			f, err := d.tree.root.Open(blobPath(name, digest))
			if errors.Is(err, fs.ErrNotExist) { // removed by hand
				return nil
			}
			if err != nil {
				return err
			}
			defer f.Close()
			if err := named.addAll(f); err != nil {
				return fmt.Errorf("%s: %w", f.Name(), err)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return named, nil
}

// addAll adds each string of a JSON text that is a digest.
func (s digestSet) addAll(r io.Reader) error {
	dec := json.NewDecoder(r)
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		text, _ := token.(string)
		if digest, err := ParseDigest(text); err == nil {
			s[digestKey(digest)] = struct{}{}
		}
	}
}

// removeEmpty removes a repository that holds nothing, and the directories
// above it that become empty.
func (d *Disk) removeEmpty(name string) (gone bool, err error) {
	for _, algorithm := range algorithms {
		for _, dir := range []string{"blobs/", "manifests/"} {
			if empty, err := d.tree.isEmpty(repoPath(name, dir+algorithm)); err != nil || !empty {
				return false, err
			}
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

func (d *Disk) collect(ctx context.Context, dir string, c *Collected) error {
	removed := c.Removed
	err := d.tree.eachFile(dir, func(file string, info fs.FileInfo, stat *syscall.Stat_t) error {
		if stat.Nlink > 1 {
			c.Kept++
			c.KeptBytes += info.Size()
			return ctx.Err()
		}
		if err := d.tree.remove(file); err != nil {
			return err
		}
		c.Removed++
		c.RemovedBytes += info.Size()
		return ctx.Err()
	})
	if err == nil && c.Removed > removed {
		err = d.tree.syncDir(dir)
	}
	return err
}
