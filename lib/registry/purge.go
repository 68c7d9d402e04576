package registry

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// Purge removes the storage in dir: all that the registry keeps there, and dir
// itself unless something else is in it, which left names, or dir cannot be
// removed, as one that is mounted. Killed on the way, it can be run again.
//
// Before anything is removed, confirm is called with what the storage holds, and
// then beside, which removes what a server keeps in dir besides. While they run,
// no other process can open the storage; the error is an *InUseError if one has.
func Purge(dir string, confirm func(Usage) error, beside func(*os.Root) error) (left []string, err error) {
	if err := IsStorage(dir); err != nil {
		return nil, err
	}
	d, err := newDisk(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.closeFiles()) }()
	if err := d.lockStorage(); err != nil {
		return nil, err
	}
	if d.readOnly {
		return nil, &fs.PathError{Op: "remove", Path: dir, Err: syscall.EROFS}
	}
	usage, err := d.Usage()
	if err == nil || errors.Is(err, fs.ErrNotExist) { // an earlier run was killed
		err = confirm(usage)
	}
	if err == nil {
		err = beside(d.tree.root)
	}
	if err == nil {
		err = d.removeAll()
	}
	if err != nil {
		return nil, err
	}
	return d.leave()
}

// removeAll removes what the registry keeps. The two directories by which a
// storage is recognized go last, and empty: a server that starts once the lock is
// gone keeps what it makes in them.
func (d *Disk) removeAll() error {
	root := d.tree.root
	repositories, err := fs.ReadDir(root.FS(), reposDir)
	if err != nil {
		return err
	}
	names := []string{uploadsDir, quarantineDir, journalsDir, "stale", clockFile, formatFile} // two are of earlier versions
	for _, e := range repositories {
		names = append(names, path.Join(reposDir, e.Name()))
	}
	for _, algorithm := range algorithms {
		names = append(names, path.Join(poolDir, algorithm))
	}
	for _, name := range names {
		if err := root.RemoveAll(name); err != nil {
			return err
		}
	}
	return errors.Join(d.tree.remove(lockFile), d.tree.remove(reposDir), d.tree.remove(poolDir))
}

// leave removes the directory, or returns what else is in it.
func (d *Disk) leave() (left []string, err error) {
	entries, err := fs.ReadDir(d.tree.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if len(left) > 0 {
		return left, nil
	}
	dir, err := filepath.EvalSymlinks(d.dir)
	if err == nil {
		err = os.Remove(dir)
	}
	return nil, err
}
