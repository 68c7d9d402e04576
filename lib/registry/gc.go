package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"syscall"
	"time"
)

// Collected is what a collection of garbage found, in files and bytes.
type Collected struct {
	Removed, Kept           int
	RemovedBytes, KeptBytes int64
}

// Collect takes out of each repository the blobs that none of its manifests
// names, unless they have come within the last day: their manifest may still
// follow. Then it removes the files of the pool that no repository links to,
// and expired uploads. It wants the storage to itself: no other method may run
// meanwhile, since a push links a blob to the pool a moment before it links it
// to its repository.
func (d *Disk) Collect(ctx context.Context) (Collected, error) {
	var c Collected
	now := time.Now()
	if err := d.sweepUploads(now, true); err != nil {
		return c, err
	}
	freed := make(map[Digest]bool)
	err := d.walkRepos(ctx, "", "", func(name string) error {
		return d.unlinkUnnamed(name, now.Add(-uploadExpiry), freed)
	})
	if err != nil {
		return c, err
	}
	for _, algorithm := range []string{"sha256", "sha512"} {
		if err := d.collect(ctx, path.Join(poolDir, algorithm), &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// unlinkUnnamed takes out of a repository what no manifest names and what has
// been linked before a time. freed has what was taken out of any repository: to
// unlink a file changes its time.
func (d *Disk) unlinkUnnamed(name string, before time.Time, freed map[Digest]bool) error {
	named, err := d.named(name)
	if err != nil {
		return err
	}
	for _, algorithm := range []string{"sha256", "sha512"} {
		dir := repoPath(name, path.Join("blobs", algorithm))
		err := d.eachFile(dir, func(file string, info fs.FileInfo, stat *syscall.Stat_t) error {
			digest, err := ParseDigest(algorithm + ":" + info.Name())
			if err != nil || named[digest] {
				return nil
			}
			if linked := time.Unix(stat.Ctim.Unix()); !freed[digest] && linked.After(before) {
				return nil
			}
			freed[digest] = true
			return d.root.Remove(file)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// named gives every digest that occurs in a repository's manifests, wherever
// that is, and the manifests' own: what other kinds of manifests refer to must
// be kept as well. A manifest that cannot be read ends the collection.
func (d *Disk) named(name string) (map[Digest]bool, error) {
	r, err := d.repos.acquire(d, name)
	if err != nil {
		return nil, err
	}
	defer d.repos.release(r)
	named := make(map[Digest]bool)
	for digest := range r.index.manifests {
		named[digest] = true
		f, err := d.root.Open(blobPath(name, digest))
		if errors.Is(err, fs.ErrNotExist) { // removed by hand
			continue
		}
		if err != nil {
			return nil, err
		}
		err = addDigests(named, f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return named, nil
}

// addDigests adds each string of a JSON text that is a digest.
func addDigests(named map[Digest]bool, r io.Reader) error {
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
			named[digest] = true
		}
	}
}

func (d *Disk) collect(ctx context.Context, dir string, c *Collected) error {
	return d.eachFile(dir, func(file string, info fs.FileInfo, stat *syscall.Stat_t) error {
		if stat.Nlink > 1 {
			c.Kept++
			c.KeptBytes += info.Size()
			return ctx.Err()
		}
		if err := d.root.Remove(file); err != nil {
			return err
		}
		c.Removed++
		c.RemovedBytes += info.Size()
		return ctx.Err()
	})
}

// eachFile calls visit, which may remove it, for each regular file of a
// directory. It reads a thousand names at a time, since all of them may not
// fit into memory, and syncs the directory at the end.
func (d *Disk) eachFile(dir string, visit func(file string, info fs.FileInfo, stat *syscall.Stat_t) error) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1000)
		for _, e := range entries {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
				continue
			}
			if err != nil {
				return err
			}
			stat, ok := info.Sys().(*syscall.Stat_t)
			if !ok || !info.Mode().IsRegular() {
				continue // not this program's
			}
			if err := visit(path.Join(dir, e.Name()), info, stat); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return f.Sync()
		}
		if err != nil {
			return err
		}
	}
}
