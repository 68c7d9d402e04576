package registry

import (
	"context"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"k0rdent-airgap/lib/ref"
)

// Repositories is of Store. A repository is listed once it has a manifest.
func (d *Disk) Repositories(ctx context.Context, last string, limit int) ([]string, bool, error) {
	if limit == 0 {
		return nil, true, nil
	}
	if limit == noLimit || limit > maxPage {
		limit = maxPage
	}
	return d.share(ctx, fmt.Sprintf("%s %d %s", reposDir, limit, last), func() (names []string, more bool, err error) {
		for more = true; more; {
			var page []string
			// One more than asked for shows whether others follow; some are none.
			if page, more, err = d.directories(last, limit+1-len(names)+64); err != nil {
				return nil, false, err
			}
			for _, last = range page {
				if ref.CheckRepository(last) == nil && d.hasManifest(last) {
					names = append(names, last)
				}
			}
			if len(names) > limit {
				return names[:limit], true, nil
			}
		}
		return names, false, nil
	})
}

// hasManifest reports whether a repository has a manifest. It is asked of a
// thousand repositories for one page, so it does not go through os.Root, whose
// look-up would cost the most.
func (d *Disk) hasManifest(name string) bool {
	buf := direntBuffers.Get().(*[]byte)
	defer direntBuffers.Put(buf)
	for _, dir := range manifestDirs(name) {
		fd, err := unix.Openat(int(d.top.Fd()), dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		n, err := unix.Getdents(fd, *buf)
		unix.Close(fd)
		if err != nil {
			continue
		}
		pending := d.names.pending(dir)
		if err := eachDirent((*buf)[:n], func(entry []byte, _ byte) error {
			if existed, editing := pending[string(entry)]; editing && !existed {
				return nil
			}
			return errFound
		}); err == errFound {
			return true
		}
	}
	return false
}

// walkRepos calls visit for each repository, in the order of their names.
func (d *Disk) walkRepos(ctx context.Context, visit func(name string) error) error {
	for last, more := "", true; more; {
		var names []string
		var err error
		if names, more, err = d.directories(last, maxPage); err != nil {
			return err
		}
		for _, last = range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if ref.CheckRepository(last) != nil || !d.hasRepo(last) {
				continue
			}
			if err := visit(last); err != nil {
				return err
			}
		}
	}
	return nil
}

// directories returns the first names, after last, that a repository's directory
// has or one above it.
func (d *Disk) directories(last string, limit int) (names []string, more bool, err error) {
	page := lowest{limit: limit, after: last}
	if err := d.collectNames("", &page); err != nil {
		return nil, false, err
	}
	names, more = page.done()
	return names, more, nil
}

// collectNames adds the names of all directories whose name begins with prefix,
// "" or ending in "/". It does not look where none can be on the page.
func (d *Disk) collectNames(prefix string, page *lowest) error {
	var below []string
	full := []byte(prefix)
	err := d.tree.eachName(path.Join(reposDir, prefix), func(entry []byte, kind byte) error {
		if kind != isDir && kind != isUnknown || entry[0] == '_' || entry[0] == '.' {
			return nil
		}
		full = append(full[:len(prefix)], entry...)
		page.add(full)
		if full = append(full, '/'); page.mayHold(full) {
			below = append(below, string(full))
		}
		return nil
	})
	for _, dir := range below {
		if err == nil && page.mayHold([]byte(dir)) && !d.isLeaf(dir) {
			err = d.collectNames(dir, page)
		}
	}
	return err
}

// isLeaf reports whether a directory has no other directory in it than a layout,
// as far as its number of links tells: that has one for each, and two more.
func (d *Disk) isLeaf(dir string) bool {
	stat, err := d.stat(path.Join(reposDir, dir))
	if err != nil || stat.Nlink != 3 {
		return false
	}
	_, err = d.stat(path.Join(reposDir, dir, layoutDir))
	return err == nil
}
