package registry

import (
	"errors"
	"io/fs"
	"path"
	"syscall"
)

// Usage is what a storage holds and what its file system has left, in bytes.
type Usage struct {
	Blobs int
	Bytes int64 // of all blobs
	Free  int64 // for this process
}

// Usage looks at every file of the pool, though into none: some 200,000 a
// second.
func (d *Disk) Usage() (Usage, error) {
	var u Usage
	for _, algorithm := range []string{"sha256", "sha512"} {
		err := d.eachFile(path.Join(poolDir, algorithm), func(_ string, info fs.FileInfo, _ *syscall.Stat_t) error {
			u.Blobs++
			u.Bytes += info.Size()
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return u, err
		}
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &stat); err != nil {
		return u, err
	}
	u.Free = int64(stat.Bavail) * stat.Bsize
	return u, nil
}

// Check tells whether the storage can be reached at all.
func (d *Disk) Check() error {
	_, err := d.root.Stat(reposDir)
	return err
}
