package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// maxReferrers is the size in bytes up to which a page of referrers grows,
// unless its first entry is larger.
const maxReferrers = 512 << 10

// Tags is of Store.
func (d *Disk) Tags(ctx context.Context, name, last string, limit int) ([]string, bool, error) {
	if !d.hasRepo(name) {
		return nil, false, ErrNameUnknown
	}
	return d.namesIn(ctx, tagsPath(name), last, limit)
}

// namesIn returns a page of the links in a directory. Requests for the same page
// share one reading of the directory, unless something has changed in between.
func (d *Disk) namesIn(ctx context.Context, dir, last string, limit int) ([]string, bool, error) {
	if limit == 0 {
		return nil, true, nil
	}
	if limit == noLimit || limit > maxPage {
		limit = maxPage
	}
	return d.share(ctx, fmt.Sprintf("%s %d %s", dir, limit, last), func() ([]string, bool, error) {
		for tries := 0; ; tries++ {
			before := d.names.changes.Load()
			page := lowest{limit: limit, after: last}
			err := d.tree.eachName(dir, func(name []byte, kind byte) error {
				if kind == isLink || kind == isUnknown {
					page.add(name)
				}
				return nil
			})
			if err != nil {
				return nil, false, err
			}
			names, more, end := d.settled(dir, page)
			if len(names) == 0 && more { // none of the page is there for good yet
				last = end
				continue
			}
			// What failed meanwhile may have been seen, and is gone.
			if d.names.changes.Load() == before || !d.names.failing() || tries == 3 {
				return names, more, nil
			}
		}
	})
}

// settled returns a page as it is on disk for good: without names that are being
// added, and with those that are being removed.
// end is where the page ends.
func (d *Disk) settled(dir string, page lowest) (names []string, more bool, end string) {
	pending := d.names.pending(dir)
	for name, existed := range pending {
		if existed {
			page.add([]byte(name))
		}
	}
	names, more = page.done()
	if len(names) > 0 {
		end = names[len(names)-1]
	}
	return slices.DeleteFunc(names, func(name string) bool {
		existed, editing := pending[name]
		return editing && !existed
	}), more, end
}

type namesPage struct {
	names []string
	more  bool
}

// share lets requests that ask the same at once share the answer.
func (d *Disk) share(ctx context.Context, key string, f func() ([]string, bool, error)) ([]string, bool, error) {
	key = fmt.Sprintf("%d %s", d.names.changes.Load(), key)
	v, err, _ := d.flights.Do(key, func() (any, error) {
		var p namesPage
		err := d.list(context.WithoutCancel(ctx), func() (err error) {
			p.names, p.more, err = f()
			return err
		})
		return p, err
	})
	p, _ := v.(namesPage)
	return p.names, p.more, err
}

// tagsOf returns a page of the tags that point at a manifest.
func (d *Disk) tagsOf(name string, digest Digest, last string) ([]string, bool, error) {
	dir, err := d.tree.openDir(tagsPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer dir.close()
	page, target := lowest{limit: maxPage, after: last}, tagTarget(digest)
	err = dir.each(func(tag []byte, _ byte) error {
		to, err := dir.readlink(string(tag))
		if to == target {
			page.add(tag)
		}
		return err
	})
	tags, more := page.done()
	return tags, more, err
}

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

// made notes that a directory has been made, or was taken back.
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

// Referrers is of Store. The types and annotations of those that refer to a
// subject are read from the manifests themselves.
func (d *Disk) Referrers(ctx context.Context, name string, subject Digest, artifactType, last string) ([]Descriptor, bool, error) {
	if !d.hasRepo(name) {
		return nil, false, ErrNameUnknown
	}
	if last != "" {
		last = referrerName(Digest(last))
	}
	var list []Descriptor
	for size, more := 0, true; more; {
		var links []string
		var err error
		if links, more, err = d.namesIn(ctx, referrersPath(name, subject), last, noLimit); err != nil {
			return nil, false, err
		}
		for _, link := range links {
			last = link
			digest, err := ParseDigest(strings.Replace(link, "-", ":", 1))
			if err != nil {
				continue // not this program's
			}
			desc, err := d.referrer(ctx, name, digest)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrManifestUnknown) { // deleted since
				continue
			}
			if err != nil {
				return nil, false, err
			}
			if artifactType != "" && desc.ArtifactType != artifactType {
				continue
			}
			encoded, err := json.Marshal(desc)
			if err != nil {
				return nil, false, err
			}
			if size += len(encoded); size > maxReferrers && len(list) > 0 {
				return list, true, nil
			}
			list = append(list, desc)
		}
	}
	return list, false, nil
}

func (d *Disk) referrer(ctx context.Context, name string, digest Digest) (Descriptor, error) {
	mediaType, err := d.mediaType(name, digest)
	if err != nil {
		return Descriptor{}, err
	}
	m, size, err := d.parsed(ctx, name, digest, mediaType)
	if err != nil {
		return Descriptor{}, err
	}
	return m.referrer(digest, size), nil
}
