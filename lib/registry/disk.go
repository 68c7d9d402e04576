package registry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"
)

// Directories below the storage.
const (
	poolDir       = "blobs"
	reposDir      = "repositories"
	uploadsDir    = "uploads"
	journalsDir   = "journals"
	quarantineDir = "quarantine"
	lockFile      = "lock"
	layoutDir     = "_layout"
)

// copyBuffer is the piece in which uploads are hashed and written, in bytes.
const copyBuffer = 128 << 10

// parseBudget bounds the bytes of manifests that are held in memory at once.
const parseBudget = 2 * maxManifest

// Disk is the Store on disk that the package comment describes. Every path
// goes through an os.Root, so that neither a name nor a link leads out of the
// storage.
type Disk struct {
	dir     string
	root    *os.Root
	lock    *os.File  // nil for a storage that is only looked at
	buffers sync.Pool // of *[]byte, copyBuffer long
	bulk    sync.Pool // of *[]byte, bulkBuffer long
	parsing *semaphore.Weighted
	repos   repoCache
	uploads uploadTable
	folding folding
}

// InUseError says that another process has the storage open.
type InUseError struct {
	Dir string
	PID int // 0 if it did not say
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("storage %s: in use by another process", e.Dir)
	}
	return fmt.Sprintf("storage %s: in use by process %d", e.Dir, e.PID)
}

// OpenDisk opens the storage in a directory, makes it if need be, and removes
// what a crash left behind. It does not look at what is stored, so the time
// that it takes does not depend on that. The error is an *InUseError while
// another process has the storage open.
func OpenDisk(dir string) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	d := newDisk(dir, root)
	if d.lock, err = lockStorage(root, dir); err != nil {
		root.Close()
		return nil, err
	}
	if err := d.prepare(); err != nil {
		d.Close()
		return nil, fmt.Errorf("storage %s: %w", dir, err)
	}
	return d, nil
}

func newDisk(dir string, root *os.Root) *Disk {
	d := &Disk{dir: dir, root: root, parsing: semaphore.NewWeighted(parseBudget)}
	d.buffers.New = func() any { b := make([]byte, copyBuffer); return &b }
	d.bulk.New = func() any { b := make([]byte, bulkBuffer); return &b }
	return d
}

// lockStorage takes the lock that ends with the process, however that ends.
func lockStorage(root *os.Root, dir string) (*os.File, error) {
	f, err := root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if err != syscall.EWOULDBLOCK {
			return nil, fmt.Errorf("storage %s: lock: %w", dir, err)
		}
		text, _ := io.ReadAll(io.LimitReader(f, 32))
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return nil, &InUseError{dir, pid}
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// prepare makes the directories, tries whether the file system has hard links,
// sweeps uploads/ and folds journals.
func (d *Disk) prepare() error {
	for _, dir := range []string{poolDir + "/sha256", poolDir + "/sha512", reposDir, uploadsDir, journalsDir} {
		if err := d.makeDir(dir); err != nil {
			return err
		}
	}
	if err := d.sweepUploads(time.Now(), true); err != nil {
		return err
	}
	probe := path.Join(uploadsDir, tempPrefix+"probe")
	if err := d.root.Link(lockFile, probe); err != nil {
		return fmt.Errorf("want a file system with hard links: %w", err)
	}
	if err := d.root.Remove(probe); err != nil {
		return err
	}
	return d.foldLeft()
}

// Close brings every index.json up to date and gives the storage up. Call it
// when no method runs any more.
func (d *Disk) Close() error {
	return errors.Join(d.foldAll(), d.root.Close(), d.lock.Close())
}

// repoPath gives the place of something in a repository's layout.
func repoPath(name, rest string) string {
	return path.Join(reposDir, name, layoutDir, rest)
}

func poolPath(digest Digest) string { return path.Join(poolDir, digest.path()) }

func blobPath(name string, digest Digest) string {
	return repoPath(name, path.Join("blobs", digest.path()))
}

// makeDir makes a directory with its parents and syncs each, so that a file
// synced into it later cannot lose the way that leads to it.
func (d *Disk) makeDir(dir string) error {
	if err := d.root.MkdirAll(dir, 0o755); err != nil {
		return noSpace(err)
	}
	for ; dir != "."; dir = path.Dir(dir) {
		if err := d.syncDir(path.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) syncDir(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return noSpace(f.Sync())
}

// noSpace turns the errors of a full disk, or a full quota, into ErrNoSpace.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w", ErrNoSpace)
	}
	return err
}

// replaceFile puts a file in place as a whole: written beside, synced, renamed,
// and the rename synced. A crash leaves the old or the new content.
func (d *Disk) replaceFile(name string, write func(*os.File) error) (err error) {
	f, temp, err := d.tempFile()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.root.Remove(temp)
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return noSpace(err)
	}
	if err := d.root.Rename(temp, name); err != nil {
		return noSpace(err)
	}
	return d.syncDir(path.Dir(name))
}
