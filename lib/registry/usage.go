package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// Usage is the size of a storage and the space left.
type Usage struct {
	Blobs int
	Bytes int64 // of all blobs
	Free  int64 // in bytes, for this process
}

// Usage looks up every file of the pool, some 200,000 a second.
func (d *Disk) Usage() (Usage, error) {
	var u Usage
	err := d.tree.eachBlob(context.Background(), poolDir, func(_ string, _ Digest, stat *fileStat) error {
		u.Blobs++
		u.Bytes += stat.Size
		return nil
	})
	if err != nil {
		return u, err
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &stat); err != nil {
		return u, err
	}
	u.Free = int64(stat.Bavail) * stat.Bsize
	return u, nil
}

// checkEvery is how old the result of Check may be.
const checkEvery = 2 * time.Second

// health is the result of the last Check.
type health struct {
	mu   sync.Mutex
	at   time.Time
	last error
}

// Check returns an error unless a push would succeed: it creates, writes, syncs,
// links and removes a file. The result may be checkEvery old.
func (d *Disk) Check() error {
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	if now := time.Now(); d.health.at.IsZero() || now.Sub(d.health.at) > checkEvery {
		d.health.last = d.check()
		d.health.at = now
	}
	return d.health.last
}

func (d *Disk) check() (err error) {
	if d.readOnly {
		return ErrReadOnly
	}
	if _, err := d.tree.root.Stat(reposDir); err != nil {
		return fmt.Errorf("the storage cannot be read: %w", err)
	}
	f, temp, err := d.tempFile()
	if err != nil {
		return err
	}
	link := temp + ".link"
	defer func() {
		err = errors.Join(err, d.tree.remove(link), d.tree.remove(temp))
	}()
	_, err = d.tree.writer(f, temp).Write(make([]byte, copyBuffer))
	if err == nil {
		err = d.tree.sync(f, temp)
	}
	if err == nil {
		err = d.tree.link(temp, link)
	}
	return storageError(errors.Join(err, f.Close()))
}
