package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
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
		full := errors.New("page full")
		err = d.walkNames("", last, limit+1, func(name string) error {
			if !d.hasManifest(name) {
				return nil
			}
			if len(names) == limit {
				more = true
				return full
			}
			names = append(names, name)
			return nil
		})
		if err == full {
			err = nil
		}
		return names, more, err
	})
}

// hasManifest reports whether a repository has a manifest. It is asked of a
// thousand repositories for one page, so it does not go through os.Root, whose
// look-up would cost the most.
func (d *Disk) hasManifest(name string) bool {
	for _, algorithm := range algorithms {
		dir := repoPath(name, "manifests/"+algorithm)
		fd, err := unix.Openat(int(d.top.Fd()), dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		found := false
		buf := direntBuffers.Get().(*[]byte)
		n, err := unix.Getdents(fd, *buf)
		if err == nil {
			stop := errors.New("found one")
			found = eachDirent((*buf)[:n], func(entry []byte, _ byte) error {
				if existed, editing := d.names.editingName(dir, entry); editing && !existed {
					return nil
				}
				return stop
			}) == stop
		}
		direntBuffers.Put(buf)
		unix.Close(fd)
		if found {
			return true
		}
	}
	return false
}

// walkRepos calls visit for each repository, in the order of their names.
func (d *Disk) walkRepos(ctx context.Context, visit func(name string) error) error {
	return d.walkNames("", "", maxPage, func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !d.hasRepo(name) {
			return nil
		}
		return visit(name)
	})
}

// walkNames calls visit for each directory of repositories whose name starts
// with prefix, "" or ending in "/", and follows last. It holds step names at a
// time of each directory on the way.
func (d *Disk) walkNames(prefix, last string, step int, visit func(name string) error) error {
	for more := true; more; {
		var keys []string
		var err error
		if keys, more, err = d.keys(prefix, last, step); err != nil {
			return err
		}
		for _, key := range keys {
			switch {
			case !strings.HasSuffix(key, "/"):
				if ValidName(key) {
					err = visit(key)
				}
			case !d.isLeaf(key):
				err = d.walkNames(key, last, step, visit)
			}
			if err != nil {
				return err
			}
			if strings.HasSuffix(key, "/") {
				key += "\xff" // behind all that lies below it
			}
			last = max(last, key)
		}
	}
	return nil
}

// isLeaf reports whether a directory has no other directory in it than a layout,
// as far as its number of links tells: that has one for each, and two more.
func (d *Disk) isLeaf(dir string) bool {
	var stat, layout unix.Stat_t
	dir = reposDir + "/" + dir
	return unix.Fstatat(int(d.top.Fd()), dir, &stat, unix.AT_SYMLINK_NOFOLLOW) == nil && stat.Nlink == 3 &&
		unix.Fstatat(int(d.top.Fd()), dir+layoutDir, &layout, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// keys returns a page of what a directory of repositories holds, after last. A
// directory stands for a repository and for what lies below it: "a" sorts before
// "a-b", and that before "a/b", so it has two keys, "a" and "a/".
func (d *Disk) keys(prefix, last string, step int) ([]string, bool, error) {
	after, inside := strings.CutPrefix(last, prefix)
	if !inside {
		after = ""
		if last > prefix {
			return nil, false, nil
		}
	}
	names, bound, more, err := d.directories(strings.TrimSuffix(reposDir+"/"+prefix, "/"), after, step)
	var keys []string
	for _, name := range names {
		below := name + "/"
		if name > after {
			keys = append(keys, prefix+name)
		}
		if (below > after || strings.HasPrefix(after, below)) && (!more || below < bound) {
			keys = append(keys, prefix+below)
		}
	}
	slices.Sort(keys)
	return keys, more, err
}

// directories returns the first names of those that lie in a directory and
// follow after, and those that after begins with. bound is the first name of the
// next page.
func (d *Disk) directories(dir, after string, step int) (names []string, bound string, more bool, err error) {
	if all := d.remembered.get(dir); all != nil {
		for i := range after {
			if _, found := slices.BinarySearch(all, after[:i+1]); found {
				names = append(names, after[:i+1])
			}
		}
		at, found := slices.BinarySearch(all, after)
		if found {
			at++
		}
		end := min(at+step, len(all))
		if more = end < len(all); more {
			bound = all[end]
		}
		return append(names, all[at:end]...), bound, more, nil
	}
	page, made, count := lowest{limit: step, after: after}, d.dirsMade.Load(), 0
	err = d.tree.eachName(dir, func(name []byte, kind byte) error {
		if kind != isDir && kind != isUnknown || name[0] == '_' || name[0] == '.' {
			return nil
		}
		if count++; strings.HasPrefix(after, string(name)) {
			names = append(names, string(name)) // what lies below it may follow
		} else {
			page.add(name)
		}
		return nil
	})
	if err == nil && count >= rememberFrom && count <= rememberTo && d.remembered.begin(dir) {
		d.indexes.running.Go(func() { d.remember(dir, made, count) }) // for the next page
	}
	first, more := page.done()
	return append(names, first...), page.bound, more, err
}

const (
	// A directory of so many others is remembered, as it takes long to read; with
	// more than rememberTo, in all, they would take too much memory.
	rememberFrom, rememberTo = 2000, 200000
)

// remembered has the names in large directories of repositories, sorted. A
// collection of garbage, which removes some, has the storage to itself.
type remembered struct {
	mu      sync.Mutex
	count   int
	dirs    map[string][]string // never changed in place
	reading string              // the one that is being read
}

func (r *remembered) get(dir string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dirs[dir]
}

// begin reports whether a directory may be read to be remembered.
func (r *remembered) begin(dir string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reading != "" {
		return false
	}
	r.reading = dir
	return true
}

// made notes that a directory has been made, or removed again.
func (r *remembered) made(dir, name string, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.dirs[dir]
	at, found := slices.BinarySearch(all, name)
	switch {
	case all == nil || found != gone:
	case gone:
		r.dirs[dir] = slices.Delete(slices.Clone(all), at, at+1)
	default:
		r.dirs[dir] = slices.Insert(slices.Clone(all), at, name)
	}
}

// remember reads a directory that count others lie in, unless one has been made
// since.
func (d *Disk) remember(dir string, made uint64, count int) {
	all := lowest{limit: count}
	err := d.tree.eachName(dir, func(name []byte, kind byte) error {
		if (kind == isDir || kind == isUnknown) && name[0] != '_' && name[0] != '.' {
			all.add(name)
		}
		return nil
	})
	names, more := all.done()
	r := &d.remembered
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = ""
	if err != nil || more || d.dirsMade.Load() != made {
		return // the next list tries again
	}
	if r.count+count > rememberTo || r.dirs == nil {
		r.count, r.dirs = 0, make(map[string][]string)
	}
	r.count += count
	r.dirs[dir] = names
}
