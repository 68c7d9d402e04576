//go:build linux

package hostfile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"k0rdent-airgap/lib/record"
)

var (
	// ErrLink means that the path is a symbolic link to a file with other
	// content. Someone chose to keep that content elsewhere, so neither the
	// link nor its target is replaced.
	ErrLink = errors.New("a symbolic link, which is never replaced")
	// ErrNotRegular means that the path is a directory, a device or the
	// like.
	ErrNotRegular = errors.New("not a regular file")
)

// Supported reports whether files can be written on this system.
const Supported = true

// maxRead bounds what Read holds, in bytes.
const maxRead = 1 << 20

// Read returns the content of a small file of the host, unchanged, for
// comparison; lib/textfile reads the files that people pass to a tool. More
// than 1 MiB is an error.
func Read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode()&fs.ModeNamedPipe != 0 { // a pipe may never end
		return nil, errors.Join(err, &fs.PathError{Op: "read", Path: path, Err: ErrNotRegular})
	}
	content, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err == nil && len(content) > maxRead {
		err = fmt.Errorf("%s: more than %d bytes", path, maxRead)
	}
	return content, err
}

// Put makes path a file with this content and these permission bits, whatever
// the umask. It creates missing directories with mode 0755. The record's status
// is "written", or "unchanged" if the file already was as wanted; on an error
// it is "failed" with the same error. Errors name path.
func Put(path string, mode fs.FileMode, content []byte) (record.File, error) {
	return PutVia(filepath.Dir(path), path, mode, content)
}

// PutVia is like Put, but writes the file first to another directory on the
// same file system. Use it for a directory in which each new name has effects,
// such as one that a service watches.
func PutVia(temp, path string, mode fs.FileMode, content []byte) (record.File, error) {
	if d, err := openDir(temp, false); err == nil {
		sweep(d, filepath.Base(path))
		d.close()
	}
	r, err := Plan(path, mode, content)
	if err != nil || r.Status == record.StatusUnchanged {
		return r, err
	}
	f, err := createVia(temp, path, mode)
	if err != nil {
		return failed(r, err)
	}
	defer f.Abort()
	if _, err := f.Write(content); err != nil {
		return failed(r, err)
	}
	return f.Commit()
}

// Plan returns the record of what Put would do, and writes nothing: its status
// is "planned" or "unchanged", or "failed" if Put could not replace the
// existing file.
func Plan(path string, mode fs.FileMode, content []byte) (record.File, error) {
	sum := sha256.Sum256(content)
	r := about(path, mode, int64(len(content)), sum[:])
	d, err := openDir(filepath.Dir(path), false)
	if errors.Is(err, fs.ErrNotExist) {
		r.Status = record.StatusPlanned
		return r, nil
	}
	if err != nil {
		return failed(r, err)
	}
	defer d.close()
	same, err := is(d, mode, r)
	if err != nil {
		return failed(r, err)
	}
	r.Status = record.StatusPlanned
	if same {
		r.Status = record.StatusUnchanged
	}
	return r, nil
}

// Remove removes a file. The status is "removed", or "unchanged" if there
// was none. The directory stays.
func Remove(path string) (record.File, error) {
	r := record.File{Path: path}
	d, err := openDir(filepath.Dir(path), false)
	if err == nil {
		defer d.close()
		err = d.remove(filepath.Base(path))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Status = record.StatusUnchanged
		return r, nil
	case err != nil:
		return failed(r, err)
	}
	r.Status = record.StatusRemoved
	if err := d.sync(); err != nil {
		return failed(r, err)
	}
	return r, nil
}

// is reports whether the file in d that want describes exists and is ours. A file
// that Put may not replace is an error, unless it is a link to such a file.
func is(d *dir, mode fs.FileMode, want record.File) (bool, error) {
	path, base := want.Path, filepath.Base(want.Path)
	s, err := d.lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	link := s.Mode&unix.S_IFMT == unix.S_IFLNK
	if link && (!d.trusts(&s) || unix.Stat(path, &s) != nil) {
		return false, &fs.PathError{Op: "replace", Path: path, Err: ErrLink}
	}
	// A device or a pipe must not even be opened, since that may block
	// forever.
	if s.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, &fs.PathError{Op: "replace", Path: path, Err: ErrNotRegular}
	}
	ok := false
	if fs.FileMode(s.Mode).Perm() == mode.Perm() && s.Size == want.Size && ours(&s) {
		var f *os.File
		if link {
			f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		} else {
			f, err = d.open(base, os.O_RDONLY|unix.O_NONBLOCK, 0)
		}
		if err == nil {
			ok, err = holds(f, want)
			f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrPermission) { // an unreadable file can still be replaced
			return false, err
		}
	}
	if link && !ok {
		return false, &fs.PathError{Op: "replace", Path: path, Err: ErrLink}
	}
	return ok, nil
}

// holds reports whether r reads as the content of want, and reads no further than
// needed.
func holds(r io.Reader, want record.File) (bool, error) {
	h := sha256.New()
	_, err := io.Copy(h, io.LimitReader(r, want.Size+1))
	return err == nil && digest(h.Sum(nil)) == want.Digest, err
}

func digest(sum []byte) string { return fmt.Sprintf("sha256:%x", sum) }

func about(path string, mode fs.FileMode, size int64, sum []byte) record.File {
	return record.File{Path: path, Mode: fmt.Sprintf("%04o", mode.Perm()), Size: size, Digest: digest(sum)}
}

func failed(r record.File, err error) (record.File, error) {
	r.Status, r.Error = record.StatusFailed, err.Error()
	return r, err
}
