package registry

import (
	"context"
	"errors"
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

// Collect removes the files of the pool that no repository links to, and
// expired uploads. It wants the storage to itself: no other method may run
// meanwhile, since a push links a blob to the pool a moment before it links it
// to its repository.
func (d *Disk) Collect(ctx context.Context) (Collected, error) {
	var c Collected
	if err := d.sweepUploads(time.Now(), true); err != nil {
		return c, err
	}
	for _, algorithm := range []string{"sha256", "sha512"} {
		if err := d.collect(ctx, path.Join(poolDir, algorithm), &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// collect works through one directory of the pool, a thousand names at a time,
// since all of them may not fit into memory.
func (d *Disk) collect(ctx context.Context, dir string, c *Collected) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1000)
		for _, e := range entries {
			if err := d.collectFile(dir, e, c); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return f.Sync()
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
}

func (d *Disk) collectFile(dir string, e fs.DirEntry, c *Collected) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return nil // not ours
	}
	if stat.Nlink > 1 {
		c.Kept++
		c.KeptBytes += info.Size()
		return nil
	}
	if err := d.root.Remove(path.Join(dir, e.Name())); err != nil {
		return err
	}
	c.Removed++
	c.RemovedBytes += info.Size()
	return nil
}
