package registry

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Repositories is of Store. It walks the directories in the order of the names
// that they make, leaves out those that lie before last, and stops when the
// page is full.
func (d *Disk) Repositories(ctx context.Context, last string, limit int) ([]string, bool, error) {
	var names []string
	full := errors.New("page full")
	err := d.walkRepos(ctx, "", last, func(name string) error {
		if limit != noLimit && len(names) == limit {
			return full
		}
		names = append(names, name)
		return nil
	})
	if err == full {
		return names, true, nil
	}
	return names, false, err
}

// walkRepos calls visit for each repository whose name starts with prefix, ""
// or ending in "/", and follows last.
func (d *Disk) walkRepos(ctx context.Context, prefix, last string, visit func(name string) error) error {
	if err := ctx.Err(); err != nil {
		return &bodyError{err} // the client has gone
	}
	entries, err := fs.ReadDir(d.root.FS(), path.Join(reposDir, prefix))
	if errors.Is(err, fs.ErrNotExist) { // removed by a collection of garbage
		return nil
	}
	if err != nil {
		return err
	}
	// A directory stands for a repository and for what lies below it. "a" sorts
	// before "a-b", and that before "a/b", so the two are sorted apart.
	var keys []string
	for _, e := range entries {
		if name := prefix + e.Name(); e.IsDir() && ValidName(name) {
			keys = append(keys, name, name+"/")
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		switch {
		case strings.HasSuffix(key, "/"):
			if key > last || strings.HasPrefix(last, key) {
				err = d.walkRepos(ctx, key, last, visit)
			}
		case key > last && d.hasRepo(key):
			err = visit(key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
