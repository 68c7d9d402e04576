package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A list looks at up to a million names, so these functions avoid the overhead of
// os.Root: they follow no link at the end of a path and change nothing.

// Kinds of directory entries; see readdir(3).
const (
	isUnknown = unix.DT_UNKNOWN
	isDir     = unix.DT_DIR
	isLink    = unix.DT_LNK
)

var direntBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// errFound ends a walk.
var errFound = errors.New("found")

// retried calls f until no signal interrupts it.
func retried(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// fileStat is the result of lstat(2).
type fileStat struct{ unix.Stat_t }

// kind returns the bits of the mode for the kind of a file.
func (s *fileStat) kind() uint32 { return s.Mode & unix.S_IFMT }

func (s *fileStat) modified() time.Time { return time.Unix(s.Mtim.Unix()) }

func (s *fileStat) same(other *fileStat) bool { return s.Dev == other.Dev && s.Ino == other.Ino }

func (t *tree) stat(name string) (*fileStat, error) {
	s := new(fileStat)
	err := retried(func() error { return unix.Fstatat(int(t.top.Fd()), name, &s.Stat_t, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return nil, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return s, nil
}

// exists reports whether a file exists.
func (t *tree) exists(name string) (bool, error) {
	_, err := t.stat(name)
	return err == nil, ifExists(err)
}

// readlink returns the target of a link, or "" if it does not exist or is not a link.
func (t *tree) readlink(name string) (string, error) {
	var buf [1024]byte
	var n int
	err := retried(func() (err error) {
		n, err = unix.Readlinkat(int(t.top.Fd()), name, buf[:])
		return err
	})
	if err == unix.ENOENT || err == unix.EINVAL {
		return "", nil
	}
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}

// eachName calls visit, which may remove it, for each entry of a directory, which may
// be absent, in no order. The name is valid only until visit returns, so that nothing
// is allocated.
func (t *tree) eachName(dir string, visit func(name []byte, kind byte) error) error {
	var fd int
	err := retried(func() (err error) {
		fd, err = unix.Openat(int(t.top.Fd()), dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		return err
	})
	if err != nil {
		return ifExists(&os.PathError{Op: "open", Path: dir, Err: err})
	}
	defer unix.Close(fd)
	buf := direntBuffers.Get().(*[]byte)
	defer direntBuffers.Put(buf)
	for {
		var n int
		err := retried(func() (err error) {
			n, err = unix.Getdents(fd, *buf)
			return err
		})
		if err != nil {
			return &os.PathError{Op: "readdir", Path: dir, Err: err}
		}
		if n == 0 {
			return nil
		}
		if err := eachDirent((*buf)[:n], visit); err != nil {
			return err
		}
	}
}

// eachEntry calls visit, which may remove it, for each entry of a directory.
func (t *tree) eachEntry(ctx context.Context, dir string, visit func(name string, stat *fileStat) error) error {
	return t.eachName(dir, func(name []byte, _ byte) error {
		stat, err := t.stat(path.Join(dir, string(name)))
		if err != nil {
			return ifExists(err) // removed meanwhile
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return visit(string(name), stat)
	})
}

// eachBlob calls visit for each blob in the pool's or a repository's directory.
func (t *tree) eachBlob(ctx context.Context, blobs string, visit func(file string, digest Digest, stat *fileStat) error) error {
	for _, algorithm := range algorithms {
		dir := path.Join(blobs, algorithm)
		err := t.eachEntry(ctx, dir, func(name string, stat *fileStat) error {
			digest, err := ParseDigest(algorithm + ":" + name)
			if err != nil || stat.kind() != unix.S_IFREG {
				return nil // not this program's
			}
			return visit(path.Join(dir, name), digest, stat)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachDirent parses the result of getdents64(2): inode and offset of 8 bytes each,
// the record's length in 2, the kind in 1, the name and a zero byte.
func eachDirent(b []byte, visit func(name []byte, kind byte) error) error {
	const header = 19
	for len(b) >= header {
		length := int(binary.NativeEndian.Uint16(b[16:]))
		if length < header || length > len(b) {
			return errors.New("malformed directory entry")
		}
		name, _, _ := bytes.Cut(b[header:length], []byte{0})
		if string(name) != "." && string(name) != ".." {
			if err := visit(name, b[18]); err != nil {
				return err
			}
		}
		b = b[length:]
	}
	return nil
}

// isEmpty reports whether a directory has no entries or does not exist.
func (t *tree) isEmpty(dir string) (bool, error) {
	err := t.eachName(dir, func([]byte, byte) error { return errFound })
	return err == nil, unless(err, errFound)
}

// unless returns err, or nil if err is expected.
func unless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// ifExists returns err, or nil if err means that a file does not exist.
func ifExists(err error) error { return unless(err, fs.ErrNotExist) }
