package registry

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// Purge removes the storage in dir, and dir itself unless it holds other files,
// which left names. An interrupted Purge can be repeated.
//
// First it calls confirm with what the storage holds, then beside, which removes
// other files of the server from dir. The error is an *InUseError while another
// process has the storage open.
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
	if err == nil || errors.Is(err, fs.ErrNotExist) { // an interrupted Purge
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

// removeAll removes the registry's files. The two directories that identify a storage
// go last, and only if empty: a server that starts without the lock may use them, and
// the format.
func (d *Disk) removeAll() error {
	root := d.tree.root
	repositories, err := fs.ReadDir(root.FS(), reposDir)
	if err != nil {
		return err
	}
	names := []string{uploadsDir, quarantineDir, journalsDir, "stale", clockFile} // two are from earlier versions
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
	for _, name := range []string{lockFile, reposDir, formatFile, poolDir} {
		if err := d.tree.remove(name); err != nil {
			return err
		}
	}
	return nil
}

// leave removes the directory, or returns what else it holds.
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
