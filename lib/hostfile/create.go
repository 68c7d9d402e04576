//go:build linux

package hostfile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"k0rdent-airgap/lib/record"
)

// File is a file that is being written and not yet visible under its name.
type File struct {
	path string
	mode fs.FileMode
	only bool     // Commit must not replace a file
	dir  *dir     // the file's final directory
	temp *dir     // where it is written; often the same
	f    *os.File // nil once it is committed or aborted
	hash hash.Hash
	size int64
	err  error // the first error of Write; Commit then fails
}

// Create starts a file of any size. Nothing appears at path before Commit. The
// caller must call Abort in the end, which does nothing after a Commit.
//
// It follows no link in path that another user could have made.
func Create(path string, mode fs.FileMode) (*File, error) {
	return createVia(filepath.Dir(path), path, mode)
}

// CreateNew is like Create for a path that must not exist: if it does by then,
// the error of Commit is fs.ErrExist.
func CreateNew(path string, mode fs.FileMode) (*File, error) {
	f, err := Create(path, mode)
	if err == nil {
		f.only = true
	}
	return f, err
}

// createVia is like Create, but writes the file to another directory first, as
// PutVia does.
func createVia(temp, path string, mode fs.FileMode) (*File, error) {
	at, err := openDir(filepath.Dir(path), true)
	if err != nil {
		return nil, err
	}
	out := &File{path: path, mode: mode, dir: at, temp: at, hash: sha256.New()}
	if filepath.Clean(temp) != filepath.Dir(path) {
		if out.temp, err = openDir(temp, true); err != nil {
			at.close()
			return nil, err
		}
	}
	base := filepath.Base(path)
	sweep(out.temp, base)
	if out.f, err = createTemp(out.temp, base); err != nil {
		out.close()
		return nil, rename(err, path)
	}
	if err := out.f.Chmod(mode.Perm()); err != nil { // before it holds any secret
		out.Abort()
		return nil, rename(err, path)
	}
	return out, nil
}

// close closes the directories.
func (f *File) close() {
	f.dir.close()
	if f.temp != f.dir {
		f.temp.close()
	}
}

// createTemp creates a file with a unique name, locked so that the sweep of
// another program leaves it alone.
func createTemp(d *dir, base string) (*os.File, error) {
	for {
		name := fmt.Sprintf(".%s.%d.new", base, rand.Uint32())
		f, err := d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// A sweep may have taken the lock first and removed the name.
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err == nil {
			if info, err := f.Stat(); err == nil && info.Sys().(*syscall.Stat_t).Nlink == 0 {
				f.Close()
				continue
			}
		}
		return f, nil
	}
}

// sweep removes the files that killed runs left for the same name. It keeps
// files that are locked, since they are being written, and those it cannot
// examine.
func sweep(d *dir, base string) {
	list, err := d.open(".", os.O_RDONLY, 0)
	if err != nil {
		return
	}
	defer list.Close()
	entries, err := list.ReadDir(-1)
	if err != nil {
		return
	}
	for _, e := range entries {
		middle, found := strings.CutPrefix(e.Name(), "."+base+".")
		random, ok := strings.CutSuffix(middle, ".new")
		if !found || !ok || strings.Trim(random, "0123456789") != "" || !e.Type().IsRegular() {
			continue
		}
		f, err := d.open(e.Name(), os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			d.remove(e.Name())
		}
		f.Close()
	}
}

// Write appends to the file.
func (f *File) Write(p []byte) (int, error) {
	if f.f == nil {
		return 0, &fs.PathError{Op: "write", Path: f.path, Err: fs.ErrClosed}
	}
	n, err := f.f.Write(p)
	f.hash.Write(p[:n])
	f.size += int64(n)
	if err = rename(err, f.path); f.err == nil {
		f.err = err
	}
	return n, err
}

// Own makes the file belong to a user and a group; -1 leaves either as it is.
// Call it before Write, so that a secret never belongs to the wrong group.
func (f *File) Own(uid, gid int) error {
	err := rename(f.f.Chown(uid, gid), f.path)
	if err == nil {
		err = rename(f.f.Chmod(f.mode.Perm()), f.path) // in case the kernel has removed bits
	}
	return err
}

// Digest returns the digest of what has been written so far.
func (f *File) Digest() string { return digest(f.hash.Sum(nil)) }

// Commit renames the file to its path. The status is "written", or "unchanged"
// if an identical file already exists, which is then kept.
func (f *File) Commit() (record.File, error) {
	defer f.Abort()
	r := about(f.path, f.mode, f.size, f.hash.Sum(nil))
	if f.err == nil && f.f == nil {
		f.err = &fs.PathError{Op: "commit", Path: f.path, Err: fs.ErrClosed}
	}
	if f.err != nil {
		return failed(r, f.err)
	}
	if !f.only {
		same, err := is(f.dir, f.mode, r)
		if err != nil {
			return failed(r, err)
		}
		if same {
			r.Status = record.StatusUnchanged
			return r, nil
		}
	}
	if err := f.f.Sync(); err != nil {
		return failed(r, rename(err, f.path))
	}
	place := f.temp.move
	if f.only {
		place = f.temp.link
	}
	if err := place(filepath.Base(f.f.Name()), f.dir, filepath.Base(f.path)); err != nil {
		return failed(r, rename(err, f.path))
	}
	if err := f.dir.sync(); err != nil {
		return failed(r, err)
	}
	r.Status = record.StatusWritten
	return r, nil
}

// Abort removes what was written, unless it has been committed.
func (f *File) Abort() {
	if f.f == nil {
		return
	}
	f.temp.remove(filepath.Base(f.f.Name()))
	f.f.Close()
	f.f = nil
	f.close()
}

// rename replaces the temporary file's name in an error by path.
func rename(err error, path string) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	return err
}
