package registry

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kinds of directory entries; see readdir(3).
const (
	isUnknown = unix.DT_UNKNOWN
	isDir     = unix.DT_DIR
	isLink    = unix.DT_LNK
	isFile    = unix.DT_REG
)

var direntBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// openDir is a directory whose entries are read and looked up without the
// detours of an os.Root. Its names are single components, and no link is followed.
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

// each calls visit for each entry, in no order. The name is valid until visit
// returns: a directory of 100,000 entries is read in some 20 ms and allocates
// nothing.
func (o *openDir) each(visit func(name []byte, kind byte) error) error {
	if _, err := o.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	buf := direntBuffers.Get().(*[]byte)
	defer direntBuffers.Put(buf)
	for {
		n, err := unix.Getdents(int(o.f.Fd()), *buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "readdir", Path: o.name, Err: err}
		}
		if n == 0 {
			return nil
		}
		if err := eachDirent((*buf)[:n], visit); err != nil {
			return err
		}
	}
}

// readlink returns a link's target, or "" if there is no link.
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

// size returns that of a file, or -1 if there is none.
func (o *openDir) size(name string) (int64, error) {
	var stat unix.Stat_t
	err := unix.Fstatat(int(o.f.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return -1, nil
	}
	if err != nil {
		return -1, &os.PathError{Op: "stat", Path: path.Join(o.name, name), Err: err}
	}
	return stat.Size, nil
}

// eachName calls visit for each entry of a directory, as openDir.each does. A
// directory that does not exist has no entries.
func (t *tree) eachName(dir string, visit func(name []byte, kind byte) error) error {
	o, err := t.openDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer o.close()
	return o.each(visit)
}

// eachDirent parses what getdents64(2) returned: inode and offset of 8 bytes
// each, the record's length in 2, the kind in 1, the name with a zero byte.
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

// isEmpty reports whether a directory has no entries, or does not exist.
func (t *tree) isEmpty(dir string) (bool, error) {
	stop := errors.New("found one")
	err := t.eachName(dir, func([]byte, byte) error { return stop })
	if err == stop {
		return false, nil
	}
	return err == nil, err
}

// eachFile calls visit, which may remove it, for each regular file of a
// directory. It reads a thousand names at a time, since all of them may not fit
// into memory.
func (t *tree) eachFile(dir string, visit func(file string, info fs.FileInfo, stat *syscall.Stat_t) error) error {
	f, err := t.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1000)
		for _, e := range entries {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
				continue
			}
			if err != nil {
				return err
			}
			stat, ok := info.Sys().(*syscall.Stat_t)
			if !ok || !info.Mode().IsRegular() {
				continue // not this program's
			}
			if err := visit(path.Join(dir, e.Name()), info, stat); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
