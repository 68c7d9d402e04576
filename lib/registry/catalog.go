package registry

import (
	"context"
	"path"
	"slices"
	"strings"

	"k0rdent-airgap/lib/ref"
)

// Repositories implements Store. It lists repositories that have a manifest.
func (d *Disk) Repositories(ctx context.Context, last string, limit int) ([]string, bool, error) {
	return d.share(ctx, reposDir, last, limit, func(limit int) (names []string, more bool, err error) {
		err = d.eachDirectory("", last, limit+1, func(name string) (repository bool, err error) {
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

// hasManifest reports whether a repository has a manifest.
func (d *Disk) hasManifest(name string) (bool, error) {
	for _, dir := range manifestDirs(name) {
		err := d.tree.eachName(dir, func(entry []byte, _ byte) error {
			// After the entry has been read: if it is not pending any more, it is durable.
			if existed, editing := d.names.pending(dir)[string(entry)]; editing && !existed {
				return nil
			}
			return errFound
		})
		if err != nil {
			return err == errFound, unless(err, errFound)
		}
	}
	return false, nil
}

// walkRepos calls visit for each repository, in the order of their names.
func (d *Disk) walkRepos(ctx context.Context, visit func(name string) error) error {
	return d.eachDirectory("", "", maxPage, func(name string) (repository bool, err error) {
		if err := ctx.Err(); err != nil || !d.hasRepo(name) {
			return false, err
		}
		return true, visit(name)
	})
}

// subtree is added to a directory's name to sort its subtree: "a/b" comes after
// "a-b". No character of a name sorts after it.
const subtree = "/~"

// eachDirectory calls visit for the directories below prefix, "" or ending in "/",
// that may be repositories, in lexical order after last. visit reports whether one
// is. About limit names of a directory are in memory.
func (d *Disk) eachDirectory(prefix, last string, limit int, visit func(name string) (bool, error)) error {
	var repository string // the last one
	for more := true; more; {
		start := last
		// Some are not repositories, and up to 127, each a prefix of the next, wait for their subtree.
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
				if ref.CheckRepository(name) != nil {
					continue
				}
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

// isLeaf reports whether a repository's directory contains only the layout, if the
// file system counts a link for each directory and two more.
func (d *Disk) isLeaf(dir string) bool {
	stat, err := d.tree.stat(path.Join(reposDir, dir))
	return err == nil && stat.Nlink == 3
}
