package registry

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// tree is the storage directory, which no name or link leaves. All changes and
// syncs use its methods, so that a test can make any step fail.
type tree struct {
	root *os.Root
	top  *os.File // the same directory, for stat, readlink and eachName
	// observe, if set, is called before each step, which its error replaces. The
	// function that it returns is called with the step's result.
	observe func(op, name string) (ended func(error), err error)
	// makeRoom, if set, frees some space and reports whether it did.
	makeRoom func() bool
}

// step runs one step, and repeats it while the disk is full and makeRoom helps.
func (t *tree) step(op, name string, do func() error) error {
	err := t.once(op, name, do)
	for err != nil && t.makeRoom != nil && isFull(storageError(err)) && t.makeRoom() {
		err = t.once(op, name, do)
	}
	return err
}

func (t *tree) once(op, name string, do func() error) error {
	if t.observe == nil {
		return do()
	}
	ended, err := t.observe(op, name)
	if err == nil {
		err = do()
	}
	ended(err)
	return err
}

func (t *tree) link(from, to string) error {
	return t.step("link", to, func() error { return t.root.Link(from, to) })
}

func (t *tree) symlink(target, name string) error {
	return t.step("symlink", name, func() error { return t.root.Symlink(target, name) })
}

func (t *tree) rename(from, to string) error {
	return t.step("rename", to, func() error { return t.root.Rename(from, to) })
}

// remove removes a file or an empty directory, if it exists.
func (t *tree) remove(name string) error {
	return ifExists(t.step("unlink", name, func() error { return t.root.Remove(name) }))
}

func (t *tree) mkdir(name string) error {
	return t.step("mkdir", name, func() error { return t.root.Mkdir(name, 0o755) })
}

func (t *tree) create(name string) (f *os.File, err error) {
	err = t.step("open", name, func() (err error) {
		f, err = t.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		return err
	})
	return f, err
}

func (t *tree) sync(f *os.File, name string) error { return t.step("fsync", name, f.Sync) }

func (t *tree) syncDir(dir string) error {
	f, err := t.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.sync(f, dir)
}

// writer returns a writer to a file whose writes are steps.
func (t *tree) writer(f *os.File, name string) *treeWriter { return &treeWriter{t, f, name} }

type treeWriter struct {
	t    *tree
	f    *os.File
	name string
}

func (w *treeWriter) Write(p []byte) (n int, err error) {
	err = w.t.step("write", w.name, func() error {
		wrote, err := w.f.Write(p[n:])
		n += wrote
		return err
	})
	return n, err
}

// isFull reports whether a storageError means a full disk or quota.
func isFull(err error) bool { return errors.Is(err, ErrNoSpace) || errors.Is(err, ErrQuota) }

// storageError replaces errors of the file system that concern clients by those of
// this package.
func storageError(err error) error {
	for errno, known := range map[syscall.Errno]*Error{
		syscall.ENOSPC: ErrNoSpace,
		syscall.EDQUOT: ErrQuota,
		syscall.EROFS:  ErrReadOnly,
		syscall.EXDEV:  ErrTwoFileSystems,
	} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w", known)
		}
	}
	return err
}
