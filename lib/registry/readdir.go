package registry

import (
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

// Kinds of directory entries; see readdir(3).
const (
	isUnknown = unix.DT_UNKNOWN
	isDir     = unix.DT_DIR
	isLink    = unix.DT_LNK
)

var direntBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// errFound ends a walk.
var errFound = errors.New("found")

// openDir is a directory whose entries are read without the overhead of os.Root.
// Names are single components, and links are not followed.
type openDir struct {
	f    *os.File
	name string
}

func (t *tree) openDir(dir string) (*openDir, error) {
	f, err := t.root.Open(dir)
	if err != nil {
		return nil, err
	}
	return &openDir{f, dir}, nil
}

func (o *openDir) close() { o.f.Close() }

// each calls visit, which may remove it, for each entry, in no order. The name is
// valid only until visit returns, so that nothing is allocated.
func (o *openDir) each(visit func(name []byte, kind byte) error) error {
	return readEntries(int(o.f.Fd()), o.name, visit)
}

// readEntries is openDir.each for a file descriptor.
func readEntries(fd int, name string, visit func(name []byte, kind byte) error) error {
	buf := direntBuffers.Get().(*[]byte)
	defer direntBuffers.Put(buf)
	for {
		n, err := unix.Getdents(fd, *buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "readdir", Path: name, Err: err}
		}
		if n == 0 {
			return nil
		}
		if err := eachDirent((*buf)[:n], visit); err != nil {
			return err
		}
	}
}

// readlink returns the target of a link, or "" if it does not exist or is not a link.
func (o *openDir) readlink(name string) (string, error) {
	var buf [1024]byte
	n, err := unix.Readlinkat(int(o.f.Fd()), name, buf[:])
	if err == unix.ENOENT || err == unix.EINVAL {
		return "", nil
	}
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: path.Join(o.name, name), Err: err}
	}
	return string(buf[:n]), nil
}

// stat is openDir.stat for a path in the storage.
func (d *Disk) stat(file string) (*fileStat, error) {
	return (&openDir{d.top, "."}).stat(file)
}

// fileStat is the result of stat(2).
type fileStat struct{ unix.Stat_t }

// kind returns the bits of the mode for the kind of a file.
func (s *fileStat) kind() uint32 { return s.Mode & unix.S_IFMT }

func (s *fileStat) modified() time.Time { return time.Unix(s.Mtim.Unix()) }

func (s *fileStat) same(other *fileStat) bool { return s.Dev == other.Dev && s.Ino == other.Ino }

func (o *openDir) stat(name string) (*fileStat, error) {
	s := new(fileStat)
	if err := unix.Fstatat(int(o.f.Fd()), name, &s.Stat_t, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path.Join(o.name, name), Err: err}
	}
	return s, nil
}

// eachName is openDir.each for a directory, which may be absent.
func (t *tree) eachName(dir string, visit func(name []byte, kind byte) error) error {
	o, err := t.openDir(dir)
	if err != nil {
		return ifExists(err)
	}
	defer o.close()
	return o.each(visit)
}

// eachEntry calls visit, which may remove it, for each entry of a directory.
func (t *tree) eachEntry(ctx context.Context, dir string, visit func(name string, stat *fileStat) error) error {
	o, err := t.openDir(dir)
	if err != nil {
		return ifExists(err)
	}
	defer o.close()
	return o.each(func(name []byte, kind byte) error {
		stat, err := o.stat(string(name))
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
		name := b[header:length]
		for i, c := range name {
			if c == 0 {
				name = name[:i]
				break
			}
		}
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
