//go:build linux

package hostfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// errForeign means that a link in a path could have been made by another user,
// who would control what is written to.
var errForeign = errors.New("a symbolic link that another user could have made")

// maxLinks is how many links a path may contain, as in the kernel.
const maxLinks = 40

// dir is an open directory. Operations relative to it stay in it, even if its
// path changes meanwhile.
type dir struct {
	fd   int // with O_PATH, for which the directory need not be readable
	path string
}

// openDir opens a directory without following a link that another user could
// have made. With create, it creates missing directories with mode 0755.
func openDir(name string, create bool) (*dir, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	at, err := root()
	if err != nil {
		return nil, err
	}
	links := 0
	for rest := elements(path); len(rest) > 0; {
		var target string
		next, err := at.step(rest[0], create, &target)
		rest = rest[1:]
		if err == nil && next == nil {
			if links++; links > maxLinks {
				err = &fs.PathError{Op: "open", Path: name, Err: unix.ELOOP}
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(at.path, target)
			}
			rest = slices.Concat(elements(target), rest)
			if err == nil {
				next, err = root()
			}
		}
		at.close()
		if err != nil {
			return nil, err
		}
		at = next
	}
	at.path = path
	return at, nil
}

func root() (*dir, error) {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return &dir{fd, "/"}, err
}

func elements(path string) []string {
	return strings.FieldsFunc(filepath.Clean(path), func(r rune) bool { return r == filepath.Separator })
}

// step opens the directory called name in d. For a link it returns nil and sets
// target to the link's target.
func (d *dir) step(name string, create bool, target *string) (*dir, error) {
	flags := unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(d.fd, name, flags, 0)
	if create && err == unix.ENOENT {
		if err = unix.Mkdirat(d.fd, name, 0o755); err == nil || err == unix.EEXIST {
			fd, err = unix.Openat(d.fd, name, flags, 0)
		}
	}
	if err != nil {
		return nil, d.error("open", name, err)
	}
	var s unix.Stat_t
	if err = unix.Fstat(fd, &s); err == nil && s.Mode&unix.S_IFMT == unix.S_IFDIR {
		return &dir{fd, filepath.Join(d.path, name)}, nil
	}
	defer unix.Close(fd)
	switch {
	case err != nil:
		return nil, d.error("open", name, err)
	case s.Mode&unix.S_IFMT != unix.S_IFLNK:
		return nil, d.error("open", name, unix.ENOTDIR)
	case !d.trusts(&s):
		return nil, d.error("follow", name, errForeign)
	}
	text := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", text)
	if err != nil {
		return nil, d.error("readlink", name, err)
	}
	*target = string(text[:n])
	return nil, nil
}

// trusts reports whether a link in d can only have been made by root or by the
// user that this process runs as: they own it and d, where nobody else can
// rename or replace their files.
func (d *dir) trusts(link *unix.Stat_t) bool {
	var s unix.Stat_t
	if err := unix.Fstat(d.fd, &s); err != nil {
		return false
	}
	open := s.Mode&unix.S_IWOTH != 0 && s.Mode&unix.S_ISVTX == 0
	return ours(link) && ours(&s) && !open
}

// ours reports whether a file belongs to root or to this process's user.
func ours(s *unix.Stat_t) bool { return s.Uid == 0 || int(s.Uid) == os.Geteuid() }

func (d *dir) error(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: err}
}

func (d *dir) close() { unix.Close(d.fd) }

// lstat returns the status of a name in d, and follows no link.
func (d *dir) lstat(name string) (s unix.Stat_t, err error) {
	err = unix.Fstatat(d.fd, name, &s, unix.AT_SYMLINK_NOFOLLOW)
	return s, d.error("lstat", name, err)
}

// open opens a file in d, and follows no link.
func (d *dir) open(name string, flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return nil, d.error("open", name, err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

func (d *dir) remove(name string) error {
	return d.error("remove", name, unix.Unlinkat(d.fd, name, 0))
}

// move renames a file of d to a name in another directory.
func (d *dir) move(old string, to *dir, name string) error {
	return to.error("rename", name, unix.Renameat(d.fd, old, to.fd, name))
}

// link moves a file of d to another directory, unless the name exists there.
func (d *dir) link(name string, to *dir, as string) error {
	if err := unix.Linkat(d.fd, name, to.fd, as, 0); err != nil {
		return to.error("create", as, err)
	}
	return d.remove(name)
}

// sync is SyncDir.
func (d *dir) sync() error {
	f, err := d.open(".", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// SyncDir makes the names in a directory survive a power cut, if the file
// system supports that.
func SyncDir(name string) error {
	d, err := openDir(name, false)
	if err != nil {
		return err
	}
	defer d.close()
	return d.sync()
}

// MkdirAll creates a directory and its parents, with mode 0755, and does not
// follow a link that another user could have made.
func MkdirAll(name string) error {
	d, err := openDir(name, true)
	if err == nil {
		d.close()
	}
	return err
}
