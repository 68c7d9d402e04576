package registry

import (
	"context"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"k0rdent-airgap/lib/ref"
)

// Repositories is of Store. A repository is listed once it has a manifest.
func (d *Disk) Repositories(ctx context.Context, last string, limit int) ([]string, bool, error) {
	return d.share(ctx, reposDir, last, limit, func(limit int) (names []string, more bool, err error) {
		err = d.eachDirectory("", last, limit+1, func(name string) (repository bool, err error) {
			if ref.CheckRepository(name) != nil {
				return false, nil
			}
			if repository, err = d.hasManifest(name); err != nil || !repository {
				return false, err
			}
			if more = len(names) == limit; more {
				return true, errFound
			}
			names = append(names, name)
			return true, nil
		})
		return names, more, unless(err, errFound)
	})
}

// hasManifest reports whether a repository has a manifest. Each page asks it of
// a thousand repositories, so it does not go through os.Root, whose look-up
// would cost the most.
func (d *Disk) hasManifest(name string) (bool, error) {
	for _, dir := range manifestDirs(name) {
		fd, err := unix.Openat(int(d.top.Fd()), dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return false, &os.PathError{Op: "open", Path: dir, Err: err}
		}
		err = readEntries(fd, dir, func(entry []byte, _ byte) error {
			// Asked after the entry has been read: what is not pending any more is there for good.
			if existed, editing := d.names.pending(dir)[string(entry)]; editing && !existed {
				return nil
			}
			return errFound
		})
		unix.Close(fd)
		if err != nil {
			return err == errFound, unless(err, errFound)
		}
	}
	return false, nil
}

// walkRepos calls visit for each repository, in the order of their names.
func (d *Disk) walkRepos(ctx context.Context, visit func(name string) error) error {
	return d.eachDirectory("", "", maxPage, func(name string) (repository bool, err error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if ref.CheckRepository(name) != nil || !d.hasRepo(name) {
			return false, nil
		}
		return true, visit(name)
	})
}

// subtree follows a directory's name where its turn comes to be descended into:
// what is in "a/" comes after "a-b". No name has a character that sorts after it.
const subtree = "/~"

// eachDirectory calls visit, which reports whether it is a repository, for each
// directory of a repository or above one, in lexical order: those below prefix,
// "" or ending in "/", whose names follow last. It holds about limit names of a
// directory at a time.
func (d *Disk) eachDirectory(prefix, last string, limit int, visit func(name string) (bool, error)) error {
	var repository string // the last one
	for more := true; more; {
		start := last
		// Some are none, and up to 127, of which each begins the next, wait for their subtree.
		page := lowest{limit: limit + 192}
		full := []byte(prefix)
		err := d.tree.eachName(path.Join(reposDir, prefix), func(entry []byte, kind byte) error {
			if kind != isDir && kind != isUnknown || entry[0] == '_' || entry[0] == '.' {
				return nil
			}
			full = append(append(full[:len(prefix)], entry...), subtree...)
			if string(full) > start {
				page.add(full[:len(full)-len(subtree)])
			}
			return nil
		})
		if err != nil {
			return err
		}
		var names []string
		names, more = page.done()
		for _, name := range names {
			names = append(names, name+subtree)
		}
		slices.Sort(names)
		for _, name := range names {
			if name <= start {
				continue
			}
			if more && name >= page.bound {
				break
			}
			last = name
			if dir, below := strings.CutSuffix(name, subtree); !below {
				is, err := visit(name)
				if err != nil {
					return err
				}
				if is {
					repository = name
				}
			} else if dir != repository || !d.isLeaf(dir) {
				if err := d.eachDirectory(dir+"/", start, limit, visit); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// isLeaf reports whether a repository's directory has no other directory in it
// than the layout, as far as its number of links tells: that has one for each,
// and two more.
func (d *Disk) isLeaf(dir string) bool {
	stat, err := d.stat(path.Join(reposDir, dir))
	return err == nil && stat.Nlink == 3
}
