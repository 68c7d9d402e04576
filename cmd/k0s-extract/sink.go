package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"syscall"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/record"
)

// programMode is the mode of k0s.
const programMode fs.FileMode = 0o755

// A sink writes k0s to its path on this host, before it is known whether the
// bytes are the right ones: in a stream, the manifest follows the layers. As long
// as they equal those of the existing file, nothing is written: the usual second
// run needs neither free space nor a writable file system. From the first
// difference on, they go to a temporary file in the same directory.
type sink struct {
	path   string
	plan   bool
	refuse func() error // returns an error if the existing file must not be replaced

	old     *os.File // the existing file, as long as all bytes are equal
	oldMode fs.FileMode
	foreign bool // it belongs to another user, who can change it at any time
	buf     []byte
	out     *hostfile.File
	hash    hash.Hash
	size    int64
	err     error
}

// newSink prepares to write to a path. With plan nothing is ever written. refuse
// is called once, when the bytes differ from those at path.
func newSink(path string, plan bool, refuse func() error) *sink {
	s := &sink{path: path, plan: plan, refuse: refuse, hash: sha256.New()}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.differ()
	case errors.Is(err, syscall.ENOTDIR):
		s.err = cli.Hint(err, "name a file in a directory or, with --name, a directory")
	case err != nil:
		s.err = err
	case info.IsDir():
		s.err = cli.Hint(&fs.PathError{Op: "replace", Path: path, Err: errors.New("is a directory")}, "name a file, or use --name to let k0s-extract name the file")
	case !info.Mode().IsRegular(): // which must not even be opened
		s.err = &fs.PathError{Op: "replace", Path: path, Err: hostfile.ErrNotRegular}
	default:
		s.oldMode = info.Mode().Perm()
		s.foreign = foreign(info)
		if s.old, s.err = os.Open(path); s.err == nil {
			s.buf = make([]byte, 256<<10)
		}
	}
	return s
}

// Write never fails, so that the source is read to its end; commit returns why the
// bytes cannot be used.
func (s *sink) Write(p []byte) (int, error) {
	s.hash.Write(p)
	if s.old != nil && !s.matches(p) {
		s.differ()
	}
	s.size += int64(len(p))
	if s.out != nil && s.old == nil && s.err == nil {
		_, s.err = s.out.Write(p)
	}
	return len(p), nil
}

// matches reports whether the existing file continues with p.
func (s *sink) matches(p []byte) bool {
	for at := s.size; len(p) > 0; {
		n := min(len(p), len(s.buf))
		if _, err := s.old.ReadAt(s.buf[:n], at); err != nil || string(s.buf[:n]) != string(p[:n]) {
			return false
		}
		p, at = p[n:], at+int64(n)
	}
	return true
}

// differ switches from comparing to writing, and copies what was equal so far.
func (s *sink) differ() {
	old := s.old
	s.old = nil
	if old != nil {
		defer old.Close()
	}
	if s.err == nil {
		s.err = s.refuse()
	}
	if s.err != nil || s.plan {
		return
	}
	if s.out, s.err = hostfile.Create(s.path, programMode); s.err == nil && old != nil {
		_, s.err = io.CopyBuffer(s.out, io.NewSectionReader(old, 0, s.size), s.buf)
	}
}

// digest returns the digest of what was written.
func (s *sink) digest() string { return fmt.Sprintf("sha256:%x", s.hash.Sum(nil)) }

// drop discards what was written.
func (s *sink) drop() {
	if s.old != nil {
		s.old.Close()
		s.old = nil
	}
	if s.out != nil {
		s.out.Abort()
	}
}

// same reports whether the existing file has exactly the bytes that were written.
func (s *sink) same() bool {
	if s.old == nil {
		return false
	}
	info, err := s.old.Stat()
	return err == nil && info.Size() == s.size
}

// commit moves the file into place. The record's status is "written", "unchanged"
// or "planned"; with an error it is "failed".
func (s *sink) commit() (record.File, error) {
	defer s.drop()
	r := record.File{
		Path: s.path, Mode: fmt.Sprintf("%04o", programMode), Size: s.size,
		Digest: s.digest(),
	}
	switch {
	case s.same() && s.oldMode == programMode && !s.foreign:
		r.Status = record.StatusUnchanged
		return r, nil
	case s.same(): // only the mode or the owner differs
		s.refuse = func() error { return nil }
		s.differ()
	case s.old != nil: // the existing file is longer
		s.differ()
	}
	if s.err == nil && s.plan {
		r.Status = record.StatusPlanned
		return r, nil
	}
	if s.err == nil && s.out.Digest() != r.Digest {
		s.err = &fs.PathError{Op: "replace", Path: s.path, Err: errors.New("the existing file changed while it was read")}
	}
	if s.err == nil {
		var done record.File
		if done, s.err = s.out.Commit(); s.err == nil {
			return done, nil
		}
	}
	r.Status, r.Error = record.StatusFailed, s.err.Error()
	return r, s.err
}

// foreign reports whether a file belongs neither to root nor to the user of this
// process.
func foreign(info fs.FileInfo) bool {
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	return owner != 0 && owner != os.Geteuid()
}

// An interruptible ends a Read once its context is done.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := context.Cause(i.ctx); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}
